"""Decoding of image files, within the memory budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from records.images import jpeg, pixels, png
from records.images.formats import open_image
from records.images.memory_budget import BYTES_PER_PX, PROCESS_BUDGET
from records.images.rejection import ImageRejectedError
from records.images.tiff.undefined_rows import require_all_rows

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from PIL import ImageFile

    from records.format.image_options import ImageOptions
    from records.images.header import ImageHeader

_SMALLEST_SCALE = 8


def reserve_memory(
    header: ImageHeader, data: bytes, options: ImageOptions, *, reencode: bool
) -> AbstractContextManager[None]:
    """Return a context that waits for, and then reserves, the memory to decode an image.

    If `reencode`, the reservation includes the memory to re-encode the image; otherwise it is for
    `verify_decodable`.
    """
    width, height = options.resize or (0, 0)
    scale = _scale_to_store(header, options) if reencode else _scale_to_verify(header)
    per_px = BYTES_PER_PX if reencode else header.decode_bytes_per_px
    cost_bytes = max(_scaled_px(header, scale), width * height) * per_px + len(data)
    if scale > 1:
        cost_bytes += header.memory_px * header.buffer_bytes_per_px
    return PROCESS_BUDGET.acquire(cost_bytes, max(header.memory_px, width * height))


def _scaled_px(header: ImageHeader, scale: int) -> int:
    if scale == 1:
        return header.memory_px
    return -(-header.width // scale) * -(-header.height // scale)


def _scale_to_store(header: ImageHeader, options: ImageOptions) -> int:
    """Return the divisor of the sides at which `prepare_image` decodes an image."""
    # Decoders differ in how they read a JPEG with anomalies. At full size, they find most errors.
    if not options.scaled_decode or options.resize is None:
        return 1
    if header.kind != "jpeg" or header.anomalies:
        return 1
    size = header.width, header.height
    upright = size[::-1] if header.swaps_sides else size
    return pixels.choose_jpeg_scale(upright, options.resize, options.fit)


def _scale_to_verify(header: ImageHeader) -> int:
    return _SMALLEST_SCALE if _is_plain_jpeg(header) else 1


def load_image(header: ImageHeader, data: bytes) -> Image.Image:
    """Return the decoded image, in the mode that Pillow chooses.

    Raises:
        ImageRejectedError: `corrupt` if the size differs from the size in the header or data is
            missing, `unsupported` if the samples cannot be converted to 8 bits.
        Exception: any exception from Pillow, if the bytes are corrupt.
    """
    return _load(header, data, scale=1)[0]


def _load(header: ImageHeader, data: bytes, scale: int) -> tuple[Image.Image, int]:
    """Return the decoded image and its orientation; a JPEG is decoded at 1/`scale` of its size."""
    if _is_plain_jpeg(header):
        decoded = decode_plain_jpeg(header, data, "L" if header.channels == 1 else "RGB", scale)
        _require_all_data(header, data)
        return decoded, 1
    opened, orientation = _open(header, data)
    if scale > 1:
        opened.draft(opened.mode, (header.width // scale, header.height // scale))
    opened.load()
    image: Image.Image = opened
    _require_all_data(header, data)
    if header.colour_key is not None:
        image.info["transparency"] = header.colour_key
    if header.doubtful_alpha:
        image = pixels.drop_empty_alpha(image)
    return image, orientation


def verify_decodable(header: ImageHeader, data: bytes) -> None:
    """Check that an image can be decoded; the pixels are discarded.

    A JPEG that may be stored unchanged is decoded to a grey image of an eighth of the width. This
    takes two thirds of the time of a full decode. It misses no error: all coefficients are decoded,
    and `jpeg_markers` has checked how the chroma is sampled and where the image ends.

    Raises:
        The exceptions of `load_image`, for the same files.
    """
    if _is_plain_jpeg(header):
        decode_plain_jpeg(header, data, "L", _SMALLEST_SCALE)
        return
    image, _ = _open(header, data)
    image.load()
    _require_all_data(header, data)


def _is_plain_jpeg(header: ImageHeader) -> bool:
    return header.kind == "jpeg" and header.passthrough


def decode_plain_jpeg(header: ImageHeader, data: bytes, mode: str, scale: int) -> Image.Image:
    """Decode a JPEG that may be stored unchanged, at 1/`scale` of its size.

    The decoder gets the file without `Image.open`: its markers are known, and to read them again
    takes Pillow a third of the time of `verify_decodable`.
    """
    size = -(-header.width // scale), -(-header.height // scale)
    raw_mode, colour_space, is_draft = mode, "", 0
    return Image.frombytes(mode, size, data, "jpeg", raw_mode, colour_space, scale, is_draft)


def decode_reduced_jpeg(
    header: ImageHeader, data: bytes, mode: Literal["L", "RGB"], side_px: int
) -> Image.Image:
    """Return a JPEG decoded at 1/2, 1/4 or 1/8 of its size, or at its size.

    If it may be stored unchanged, Pillow does not read its markers; the pixels are the same.

    Args:
        header: the header of the file.
        data: the file.
        mode: `L` to decode only the luma; with `RGB`, an image keeps its mode.
        side_px: the least width and height of a reduced image, in pixels.

    Raises:
        Exception: any exception from Pillow, if the bytes are corrupt.
    """
    if _is_plain_jpeg(header):
        fitting = min(header.width, header.height) // side_px
        scale = next((scale for scale in (8, 4, 2) if scale <= fitting), 1)
        return decode_plain_jpeg(header, data, "L" if header.channels == 1 else mode, scale)
    image = open_image(header.kind, data).image
    image.draft(mode, (side_px, side_px))
    image.load()
    return image


def _open(header: ImageHeader, data: bytes) -> tuple[ImageFile.ImageFile, int]:
    image, orientation, _ = open_image(header.kind, data)
    if image.size != (header.width, header.height):
        raise ImageRejectedError(
            "corrupt",
            f"the size {image.size} does not match the header, {header.width}x{header.height}",
        )
    pixels.require_mode(image)
    if isinstance(image, TiffImageFile):
        require_all_rows(image)
    return image, orientation


def _require_all_data(header: ImageHeader, data: bytes) -> None:
    """Reject a JPEG or PNG whose data is truncated in a way that only Pillow tolerates."""
    if header.kind == "jpeg":
        for _ in jpeg.find_scans(data, header.scan_offset):
            pass
    elif header.kind == "png":
        png.verify_row_data(data, header.rows_bytes)


def prepare_image(
    header: ImageHeader, data: bytes, options: ImageOptions
) -> tuple[Image.Image, list[str]]:
    """Return the image to store, upright and in mode `L` or `RGB`, and the names of the changes.

    A JPEG that is resized to much fewer pixels is decoded at a fraction of its size. This takes a
    third of the time and misses no error: all coefficients are decoded.

    Raises:
        The exceptions of `load_image`.
    """
    changes = list(header.anomalies)
    scale = _scale_to_store(header, options)
    image, orientation = _load(header, data, scale)
    area = pixels.whole_box(header.width / scale, header.height / scale)
    area = pixels.turn_box(area, image.size, orientation)
    background = options.background_rgb
    image, flattened = pixels.flatten(image, background, header.sample_bits)
    if header.inverted:
        image = ImageOps.invert(image)
    if orientation != 1:
        changes.append("exif-rotated")
    image = pixels.turn_upright(image, orientation)
    raw = options.store == "raw"
    image, counted = pixels.to_channels(image, options.channels, exact=raw)
    resized: list[str] = []
    if options.resize is not None:
        image, resized = pixels.resize(image, options.resize, options.fit, background, area=area)
    # Flattening or padding with a coloured background turns a grey image into RGB.
    image, recounted = pixels.to_channels(image, options.channels, exact=raw)
    return image, [*changes, *flattened, *counted, *resized, *recounted]


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return the samples of an `L` or `RGB` image, uint8 of shape (height, width, channels)."""
    samples = np.asarray(image)
    return samples.reshape(image.height, image.width, -1)
