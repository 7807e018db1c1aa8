"""Detection of truncated image files.

Decoders raise the same errors for truncated and for corrupt files. A file is truncated if the sizes
that it declares exceed its own size. For JPEG and PNG, `jpeg.py` and `png.py` detect truncation.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_GIF_EXTENSION, _GIF_PICTURE = 0x21, 0x2C
_OS2_HEADER_BYTES = 12
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I"}
_TIFF_INLINE_BYTES = 4
_STRIP_OFFSETS, _STRIP_BYTES = {273, 324}, {279, 325}
_MAX_TIFF_STRIPS = 1 << 20


def is_truncated(kind: str, data: bytes) -> bool:
    """Return whether an image file is truncated; `kind` is its format, as `sniff` returns it."""
    check = {
        "gif": _is_truncated_gif,
        "bmp": _is_truncated_bmp,
        "webp": _is_truncated_webp,
        "tiff": _is_truncated_tiff,
        "avif": _is_truncated_iso_media,
        "heif": _is_truncated_iso_media,
    }.get(kind)
    try:
        return check is not None and check(data)
    except (struct.error, IndexError):
        return True


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
    at = 13 + _palette_bytes(data[10])
    while data[at] == _GIF_EXTENSION:
        at = _skip_sub_blocks(data, at + 2)
    if data[at] == _GIF_PICTURE:
        at += 10 + _palette_bytes(data[at + 9])
        _skip_sub_blocks(data, at + 1)
    return False


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_sub_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += 1 + data[at]
    return at + 1


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


def _is_truncated_tiff(data: bytes) -> bool:
    """Look for a directory or a strip that extends beyond the end of the file."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] in {b"+\0", b"\0+"}:
        return False
    (directory_at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory_at)
    offsets: list[int] = []
    lengths: list[int] = []
    for number in range(count):
        entry_at = directory_at + 2 + 12 * number
        (tag,) = struct.unpack_from(order + "H", data, entry_at)
        if tag in _STRIP_OFFSETS:
            offsets.extend(_read_tiff_numbers(data, order, entry_at))
        elif tag in _STRIP_BYTES:
            lengths.extend(_read_tiff_numbers(data, order, entry_at))
    strips = zip(offsets, lengths, strict=False)
    return any(offset + length > len(data) for offset, length in strips)


def _read_tiff_numbers(data: bytes, order: str, entry_at: int) -> Iterator[int]:
    kind, count = struct.unpack_from(order + "HI", data, entry_at + 2)
    number = _TIFF_NUMBERS.get(kind)
    if number is None or count > _MAX_TIFF_STRIPS:
        return
    numbers = struct.Struct(f"{order}{count}{number}")
    at = entry_at + 8
    if numbers.size > _TIFF_INLINE_BYTES:
        (at,) = struct.unpack_from(order + "I", data, at)
    yield from numbers.unpack_from(data, at)
