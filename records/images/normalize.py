"""Conversions: image file to stored image, stored image to pixels.

A stored image is JPEG, PNG or raw samples: upright, opaque, and 8-bit grey or RGB. TensorFlow and
Pillow decode it to exactly the same pixels. JPEG and PNG files with these properties are stored
byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np
import xxhash
from msgspec import UNSET

from records.errors import CorruptDataError
from records.format.image_options import MAX_PIXELS_LIMIT, ImageOptions
from records.images.decode import (
    load_image,
    prepare_image,
    reserve_memory,
    to_array,
    verify_decodable,
)
from records.images.decoder_errors import corrupt_image_error, rejection_from_error
from records.images.encode import StoredFormat, encode_image, is_compressed
from records.images.formats import sniff
from records.images.header import ImageHeader, read_header
from records.images.rejection import ImageRejectedError, Rejection
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


class NormalizedImage(msgspec.Struct, frozen=True):
    """A stored image.

    Attributes:
        encoded: a JPEG or PNG file, or uint8 samples of shape (height, width, channels).
        format: the stored format: `jpeg`, `png` or `raw`.
        width: the width in pixels, upright.
        height: the height in pixels, upright.
        channels: the number of channels: 1 for grey, 3 for RGB.
        changes: short names of the changes to the source; empty if the file is stored byte for
            byte.
    """

    encoded: bytes
    format: StoredFormat
    width: int
    height: int
    channels: int
    changes: tuple[str, ...]


def normalize_image(data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
    """Normalize an image file, or return the reason to reject it.

    No content of `data` raises an exception. The function is thread-safe. Decoding waits for a
    share of the memory budget of the process.

    Args:
        data: a complete image file.
        options: validated image options.
    """
    try:
        return _normalize(data, options)
    except Exception as error:  # Pillow raises almost any exception for corrupt bytes
        return rejection_from_error(error, data)


def decode_pixels(data: bytes, options: ImageOptions) -> NDArray[np.uint8]:
    """Return the pixels that `normalize_image` would encode and store.

    Returns:
        An array of uint8 with shape (height, width, channels), channels 1 or 3.

    Raises:
        CorruptDataError: `normalize_image` would reject the file.
    """
    try:
        header = read_header(data, options.max_pixels)
        options = _choose_format(data, options)
        with reserve_memory(header, data, options, reencode=True):
            return to_array(prepare_image(header, data, options)[0])
    except Exception as error:
        raise corrupt_image_error(error, data) from error


def decode_record_image(
    encoded: bytes,
    format: str,  # noqa: A002 the name of the feature
    width: int,
    height: int,
    channels: int,
) -> NDArray[np.uint8]:
    """Decode the image of a record.

    Args:
        encoded: the value of `image/encoded`.
        format: the value of `image/format`: `jpeg`, `png` or `raw`.
        width: the value of `image/width`, in pixels.
        height: the value of `image/height`, in pixels.
        channels: the value of `image/channels`, 1 or 3.

    Returns:
        An array of uint8 with shape (height, width, channels).

    Raises:
        CorruptDataError: the image cannot be decoded, or contradicts the other features.
    """
    shape = (height, width, channels)
    if format == "raw":
        if min(shape) < 1 or len(encoded) != height * width * channels:
            raise CorruptDataError(
                "raw image has a wrong size",
                expected=pluralize(height * width * channels, "byte"),
                got=pluralize(len(encoded), "byte"),
            )
        return np.frombuffer(encoded, np.uint8).reshape(shape)
    if sniff(encoded[:32]) != format or format not in {"jpeg", "png"}:
        raise CorruptDataError(
            "the format of an image differs from the format in its record", expected=format
        )
    try:
        found = _decode_encoded(encoded)
    except Exception as error:
        raise corrupt_image_error(error, encoded) from error
    if found.shape != shape:
        raise CorruptDataError(
            "the size of an image differs from the size in its record",
            expected="x".join(map(str, shape)),
            got="x".join(map(str, found.shape)),
        )
    return found


def _choose_format(data: bytes, options: ImageOptions) -> ImageOptions:
    """Return the options for one image: with `mixed`, the hash of the file selects the format."""
    if options.raw_share is UNSET:
        return options
    is_raw = xxhash.xxh3_64_intdigest(data) < options.raw_share * 2**64
    return msgspec.structs.replace(options, store="raw" if is_raw else "source", raw_share=UNSET)


def _normalize(data: bytes, options: ImageOptions) -> NormalizedImage:
    chosen = _choose_format(data, options)
    image = _normalize_to_format(data, chosen)
    if chosen is not options and image.format == "raw" and is_compressed(image.encoded):
        # Readers distinguish the formats of `mixed` by the first bytes.
        source = msgspec.structs.replace(chosen, store="source")
        return _normalize_to_format(data, source)
    return image


def _normalize_to_format(data: bytes, options: ImageOptions) -> NormalizedImage:
    header = read_header(data, options.max_pixels)
    if _passes_through(header, options):
        if options.check == "decode":
            with reserve_memory(header, data, options, reencode=False):
                verify_decodable(header, data)
        kind = cast("StoredFormat", header.kind)
        return NormalizedImage(data, kind, header.width, header.height, header.channels, ())
    with reserve_memory(header, data, options, reencode=True):
        return _reencode(header, data, options)


def _reencode(header: ImageHeader, data: bytes, options: ImageOptions) -> NormalizedImage:
    # A separate function, so that the images are freed before the caller releases the memory.
    image, changes = prepare_image(header, data, options)
    stored_format = _stored_format(header, options)
    encoded = encode_image(image, stored_format, options.jpeg_quality)
    if header.kind != stored_format:
        changes.append(f"{header.kind}→{stored_format}")
    if not changes:  # only the metadata kept the file from being stored unchanged
        changes.append("metadata-removed")
    channels = len(image.getbands())
    return NormalizedImage(
        encoded, stored_format, image.width, image.height, channels, tuple(changes)
    )


def _stored_format(header: ImageHeader, options: ImageOptions) -> StoredFormat:
    if options.store != "source":
        return cast("StoredFormat", options.store)
    return "jpeg" if header.kind == "jpeg" else "png"


def _passes_through(header: ImageHeader, options: ImageOptions) -> bool:
    return (
        header.passthrough
        and _stored_format(header, options) == header.kind
        and options.resize in {None, (header.width, header.height)}
        and header.channels <= options.channels
    )


def _decode_encoded(encoded: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a stored JPEG or PNG; like TensorFlow, ignore EXIF orientation."""
    options = ImageOptions(max_pixels=MAX_PIXELS_LIMIT)
    header = read_header(encoded, options.max_pixels)
    if header.anomalies:
        raise ImageRejectedError(
            "unsupported",
            f"{', '.join(header.anomalies)}: TensorFlow may refuse it, or decode other pixels",
        )
    with reserve_memory(header, encoded, options, reencode=True):
        return to_array(_load_grey_or_rgb(header, encoded))


def _load_grey_or_rgb(header: ImageHeader, encoded: bytes) -> Image.Image:
    image = load_image(header, encoded)
    if image.mode == "1":
        return image.convert("L")
    if image.mode not in {"L", "RGB"}:
        raise ImageRejectedError(
            "unsupported", f"the pixels are {image.mode}, neither grey nor RGB"
        )
    return image
