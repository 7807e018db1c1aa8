"""Detection of truncated image files.

Decoders raise the same errors for truncated and for corrupt files. A file is truncated if the sizes
that it declares exceed its own size. For JPEG and PNG, `jpeg.py` and `png.py` detect truncation.
"""

from __future__ import annotations

import struct

from records.images.essentials import tiff
from records.images.essentials.gif import palette_bytes, skip_sub_blocks
from records.images.rejection import ImageRejectedError

_GIF_EXTENSION, _GIF_PICTURE = 0x21, 0x2C
_OS2_HEADER_BYTES = 12


def is_truncated(kind: str, data: bytes) -> bool:
    """Return whether an image file is truncated; `kind` is its format, as `sniff` returns it."""
    check = {
        "gif": _is_truncated_gif,
        "bmp": _is_truncated_bmp,
        "webp": _is_truncated_webp,
        "tiff": tiff.is_truncated,
        "avif": _is_truncated_iso_media,
        "heif": _is_truncated_iso_media,
    }.get(kind)
    try:
        return check is not None and check(data)
    except (struct.error, IndexError):
        return True
    except (ValueError, ImageRejectedError):
        return False


def _is_truncated_webp(data: bytes) -> bool:
    return len(data) < 8 + int.from_bytes(data[4:8], "little")


def _is_truncated_iso_media(data: bytes) -> bool:
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size == 0:
            return False
        at += max(8, size)
    return at > len(data)


def _is_truncated_gif(data: bytes) -> bool:
    """Skip the blocks up to the end of the first image; a missing byte raises IndexError."""
    at = 13 + palette_bytes(data[10])
    while data[at] == _GIF_EXTENSION:
        at = skip_sub_blocks(data, at + 2)
    if data[at] == _GIF_PICTURE:
        at += 10 + palette_bytes(data[at + 9])
        skip_sub_blocks(data, at + 1)
    return False


def _is_truncated_bmp(data: bytes) -> bool:
    """Compare the file size with the size of the rows, or look for the end of run-length data."""
    pixels_at, header_bytes = struct.unpack_from("<II", data, 10)
    if header_bytes == _OS2_HEADER_BYTES:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression in {1, 2}:
        return not data.endswith((b"\0\1", b"\0\1\0", b"\0\1\0\0"))
    row_bytes: int = (width * bits + 31) // 32 * 4
    return bool(len(data) < pixels_at + row_bytes * abs(height))
