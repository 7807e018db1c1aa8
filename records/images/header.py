"""Headers of image files: format, size, and whether to store them unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.images import jpeg, pixels, png
from records.images.essentials import Essentials, reduce_file
from records.images.essentials.truncation import is_truncated
from records.images.formats import describe_unknown, is_partial_magic, open_image, sniff
from records.images.rejection import ImageRejectedError
from records.images.tiff import begin_with_picture
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from PIL import Image

# libpng, and therefore TensorFlow, rejects longer sides.
_MAX_SIDE_PX = 1_000_000
_TIFF_BITS, _TIFF_COMPRESSION, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 258, 259, 322, 323
_TIFF_EXTRA_SAMPLES = 338
_TIFF_UNCOMPRESSED, _TIFF_WEBP = 1, 50001
_EIGHT_BITS, _SIXTEEN_BITS = 8, 16
_CHANNELS = {1: 1, 3: 3, 4: 3}

_SNIFFED_BYTES = 4096
_RECOGNIZED_MAX_PIXELS = 1 << 32
_TRUSTED_MAGIC = {"jpeg", "png", "gif", "webp", "bmp", "tiff", "avif", "heif"}


class ImageHeader(msgspec.Struct, frozen=True, gc=False):
    """The header of an image file.

    Attributes:
        kind: the format, as returned by `sniff`.
        width: the width in pixels, as coded (before any EXIF rotation).
        height: the height in pixels, as coded.
        channels: the number of channels: 1 for grey, 3 for any image that may have colours.
        passthrough: whether the file may be stored unchanged: a JPEG or PNG that is 8-bit grey or
            RGB, upright and opaque, and that every reader decodes to the same pixels.
        decode_bytes_per_px: the maximum memory to decode the image, in bytes per pixel.
        buffer_bytes_per_px: the part of it that does not depend on the scale at which a JPEG is
            decoded: the coefficients, if there are several scans.
        memory_px: the number of decoded pixels: more than width × height if tiles extend beyond
            the image.
        sample_bits: the number of bits per sample in the file.
        colour_key: the transparent colour of a grey or RGB PNG, as decoded samples; otherwise None.
        scan_offset: the offset of the payload of the first scan header of a JPEG; otherwise 0.
        rows_bytes: the size of the uncompressed rows of a PNG; otherwise 0.
        inverted: whether the decoded samples are a negative, to be inverted.
        doubtful_alpha: whether a fourth channel may be padding: the file does not declare alpha.
        swaps_sides: whether the orientation of a JPEG exchanges width and height.
        anomalies: the entries for `changes`, if the coding of the file requires re-encoding.
    """

    kind: str
    width: int
    height: int
    channels: int
    passthrough: bool
    decode_bytes_per_px: int
    memory_px: int
    buffer_bytes_per_px: int = 0
    sample_bits: int = 8
    colour_key: int | tuple[int, ...] | None = None
    scan_offset: int = 0
    rows_bytes: int = 0
    inverted: bool = False
    doubtful_alpha: bool = False
    swaps_sides: bool = False
    anomalies: tuple[str, ...] = ()


def read_header(data: bytes, max_pixels: int) -> ImageHeader:
    """Read the header of the first image in a file.

    Args:
        data: the complete file.
        max_pixels: the maximum number of pixels.

    Raises:
        ImageRejectedError: the image is rejected, for any reason except `unreadable` and
            `no-class`.
        Exception: any exception from Pillow, if the bytes are corrupt.
    """
    if not data:
        raise ImageRejectedError("empty", "no bytes")
    kind = sniff(data[:_SNIFFED_BYTES])
    if kind is None:
        if is_partial_magic(data):
            raise ImageRejectedError("truncated", f"{pluralize(len(data), 'byte')} of an image")
        raise ImageRejectedError("corrupt", describe_unknown(data))
    header = _READERS.get(kind, _read_other)(kind, data)
    _require_size(header, max_pixels)
    return header


def _require_size(header: ImageHeader, max_pixels: int) -> None:
    if header.width < 1 or header.height < 1:
        raise ImageRejectedError("corrupt", f"{header.width}x{pluralize(header.height, 'pixel')}")
    if header.memory_px > max_pixels:
        raise ImageRejectedError(
            "too-large",
            f"{header.width}x{header.height} is {pluralize(header.memory_px, 'pixel')},"
            f" over --max-pixels {max_pixels:,}",
        )
    if max(header.width, header.height) > _MAX_SIDE_PX:
        raise ImageRejectedError("too-large", f"a side has more than {_MAX_SIDE_PX:,} pixels")


def _read_jpeg(kind: str, data: bytes) -> ImageHeader:
    found = jpeg.read_header(data)
    if found.bits != _EIGHT_BITS:
        raise ImageRejectedError("unsupported", f"JPEG with {found.bits}-bit samples")
    components = len(found.component_ids)
    if components not in _CHANNELS:
        raise ImageRejectedError("unsupported", f"JPEG with {pluralize(components, 'component')}")
    anomalies: tuple[str, ...] = () if found.huffman else ("arithmetic→huffman",)
    if found.huffman and not found.complete:
        anomalies = ("incomplete-scans",)
    elif found.huffman and not found.regular:
        anomalies = ("irregular-markers",)
    essentials = reduce_file(kind, data) if found.metadata else Essentials(data)
    if essentials.is_costly:
        anomalies += ("costly-metadata",)
    buffer_bytes_per_px = 2 * components * found.buffered
    return ImageHeader(
        kind=kind,
        width=found.width,
        height=found.height,
        channels=_CHANNELS[components],
        passthrough=components == _CHANNELS[components]
        and essentials.orientation == 1
        and not anomalies,
        decode_bytes_per_px=(1 if components == 1 else 4) + buffer_bytes_per_px,
        memory_px=found.width * found.height,
        buffer_bytes_per_px=buffer_bytes_per_px,
        scan_offset=found.scan_offset,
        swaps_sides=pixels.swaps_sides(essentials.orientation),
        anomalies=anomalies,
    )


def _read_png(kind: str, data: bytes) -> ImageHeader:
    found = png.read_header(data)
    if found.bit_depth > _EIGHT_BITS and found.colour_type == png.RGB and found.transparency:
        raise ImageRejectedError("unsupported", "16-bit RGB PNG with a transparent colour")
    opaque = found.colour_type in {png.GREY, png.RGB} and found.transparency is None
    anomalies: tuple[str, ...] = ("first-frame",) if found.animated else ()
    if found.narrow_window:
        anomalies += ("wider-window",)
    if not found.regular:
        anomalies += ("irregular-chunks",)
    if found.ancillary and reduce_file(kind, data).is_costly:
        anomalies += ("costly-metadata",)
    return ImageHeader(
        kind=kind,
        width=found.width,
        height=found.height,
        channels=1 if found.colour_type == png.GREY else 3,
        passthrough=opaque
        and found.bit_depth <= _EIGHT_BITS
        and not found.metadata
        and not anomalies,
        decode_bytes_per_px=1 if found.colour_type == png.GREY else 4,
        memory_px=found.width * found.height,
        sample_bits=max(_EIGHT_BITS, found.bit_depth),
        colour_key=_read_colour_key(found),
        rows_bytes=found.rows_bytes,
        anomalies=anomalies,
    )


def _read_colour_key(found: png.PngHeader) -> int | tuple[int, ...] | None:
    """Return the transparent colour as decoded samples: low bit depths are scaled to 8 bits."""
    if found.transparency is None or found.colour_type == png.PALETTE:
        return None
    samples = [
        int.from_bytes(found.transparency[at : at + 2])
        for at in range(0, len(found.transparency), 2)
    ]
    if found.colour_type == png.RGB:
        return tuple(samples)
    grey: int = samples[0]
    if found.bit_depth in {2, 4}:
        return grey * 255 // ((1 << found.bit_depth) - 1)
    return grey


def _read_other(kind: str, data: bytes) -> ImageHeader:
    image, _, is_animated = open_image(kind, data)
    if kind == "tiff":
        _require_readable_tiff(image, data)
    width, height = image.size
    tags = getattr(image, "tag_v2", {})
    bits = max(tags.get(_TIFF_BITS, (_EIGHT_BITS,)))
    tile_px = tags.get(_TIFF_TILE_WIDTH, 1) * tags.get(_TIFF_TILE_HEIGHT, 1)
    return ImageHeader(
        kind=kind,
        width=width,
        height=height,
        channels=3,
        passthrough=False,
        decode_bytes_per_px=12,
        memory_px=max(width * height, tile_px),
        sample_bits=bits if image.mode.startswith("I;16") or bits == _SIXTEEN_BITS else _EIGHT_BITS,
        inverted=getattr(image, "inverted", False),
        doubtful_alpha=kind == "bmp" or (kind == "tiff" and _TIFF_EXTRA_SAMPLES not in tags),
        anomalies=("first-frame",) if is_animated else (),
    )


def _require_readable_tiff(image: Image.Image, data: bytes) -> None:
    """Reject files that would make libtiff print to stderr."""
    compression = getattr(image, "tag_v2", {}).get(_TIFF_COMPRESSION, _TIFF_UNCOMPRESSED)
    if compression == _TIFF_WEBP:
        raise ImageRejectedError("unsupported", "TIFF compressed as WebP")
    if compression != _TIFF_UNCOMPRESSED and is_truncated("tiff", begin_with_picture(data)[0]):
        raise ImageRejectedError("truncated", "TIFF refers to bytes beyond its end")


_READERS = {"jpeg": _read_jpeg, "png": _read_png}


def recognize_image(value: bytes) -> tuple[str, int, int] | None:
    """Return the format, and the width and height in pixels; None if the bytes are not an image."""
    if sniff(value[:_SNIFFED_BYTES]) not in _TRUSTED_MAGIC:
        return None
    try:
        header = read_header(value, _RECOGNIZED_MAX_PIXELS)
    except Exception:  # Pillow raises almost any exception for corrupt bytes
        return None
    return header.kind, header.width, header.height
