"""Check of large files before they are read.

The size must be plausible for the image.

A file is in memory while its image is decoded, so a file that is far larger than its image would
exceed the memory that an image of this size may take.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from records.images.essentials import read_tiff_size
from records.images.formats import describe_unknown, sniff
from records.images.rejection import ImageRejectedError
from records.text.formatting import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    ReadRange = Callable[[int, int], bytes]

LARGE_FILE_BYTES = 64 << 20
"""The size of files that are read without a check."""

MAX_FILE_MB = 1000
"""The default of the maximum size of a file, in megabytes."""

_BYTES_PER_PX = 8
_HEAD_BYTES = 4 << 20
_SNIFFED_BYTES = 4096
_JPEG_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]")
_ISO_SIZE = re.compile(rb"ispe....(.{8})", re.DOTALL)


def require_max_size(size_bytes: int, max_file_mb: int = MAX_FILE_MB) -> None:
    """Raise ImageRejectedError, `too-large`, if a file has more than `max_file_mb` megabytes."""
    if size_bytes > max_file_mb * 1_000_000:
        raise ImageRejectedError(
            "too-large", f"the file has {format_bytes(size_bytes)}, over {max_file_mb:,} MB"
        )


def check_large_file(read_range: ReadRange, size_bytes: int) -> None:
    """Check that a file over `LARGE_FILE_BYTES` is an image, and that its image is large too.

    Args:
        read_range: a function that returns bytes of the file, by offset and size.
        size_bytes: the size of the file.

    Raises:
        ImageRejectedError: `too-large` if the file has over 64 MB and over 8 bytes per pixel more;
            `corrupt` if the file is not an image.
    """
    if size_bytes <= LARGE_FILE_BYTES:
        return
    head = read_range(0, _HEAD_BYTES)
    kind = sniff(head[:_SNIFFED_BYTES])
    if kind is None:
        raise ImageRejectedError("corrupt", describe_unknown(head))
    try:
        width, height = _SIZES[kind](head, read_range) if kind in _SIZES else (0, 0)
    except (struct.error, ValueError, IndexError):
        width, height = 0, 0
    if size_bytes > LARGE_FILE_BYTES + _BYTES_PER_PX * width * height:
        pixels = f"an image of size {width}x{height}" if width else "an image of unknown size"
        raise ImageRejectedError(
            "too-large",
            f"{format_bytes(size_bytes)} are too many for {pixels}: over"
            f" {format_bytes(LARGE_FILE_BYTES)} and {_BYTES_PER_PX} bytes per pixel",
        )


def _read_jpeg(head: bytes, _: ReadRange) -> tuple[int, int]:
    at = 2
    while head[at] == 0xFF:
        if head[at + 1] == 0xFF:
            at += 1
        elif _JPEG_FRAME.match(head, at):
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4])
    raise ValueError("no frame header")


def _read_webp(head: bytes, _: ReadRange) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return (
            1 + int.from_bytes(head[24:27], "little"),
            1 + int.from_bytes(head[27:30], "little"),
        )
    return 1 << 14, 1 << 14  # the maximum of a simple file


def _read_bmp(head: bytes, _: ReadRange) -> tuple[int, int]:
    width, height = struct.unpack_from("<ii", head, 18)
    return abs(width), abs(height)


def _read_iso_media(head: bytes, _: ReadRange) -> tuple[int, int]:
    sizes: list[tuple[int, int]] = [struct.unpack(">II", size) for size in _ISO_SIZE.findall(head)]
    return max(sizes, key=lambda size: size[0] * size[1])


_SIZES: dict[str, Callable[[bytes, ReadRange], tuple[int, int]]] = {
    "jpeg": _read_jpeg,
    "png": lambda head, _: struct.unpack_from(">II", head, 16),
    "gif": lambda head, _: struct.unpack_from("<HH", head, 6),
    "bmp": _read_bmp,
    "webp": _read_webp,
    "tiff": lambda _, read_range: read_tiff_size(read_range),
    "avif": _read_iso_media,
    "heif": _read_iso_media,
}
