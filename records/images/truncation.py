"""Whether a file ends before its own header says it does.

Decoders mix up files that end early and files whose bytes are wrong; the containers can tell them
apart. JPEG and PNG are judged where their headers are read.
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
    """Whether an image of this format, as `sniff` names it, is cut off."""
    check = {
        "gif": _gif_ends_early,
        "bmp": _bmp_ends_early,
        "webp": _webp_ends_early,
        "tiff": _tiff_ends_early,
        "avif": _boxes_end_early,
        "heif": _boxes_end_early,
    }.get(kind)
    try:
        return check is not None and check(data)
    except (struct.error, IndexError):
        return True


def _webp_ends_early(data: bytes) -> bool:
    return len(data) < 8 + int.from_bytes(data[4:8], "little")


def _boxes_end_early(data: bytes) -> bool:
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size == 0:
            return False
        at += max(8, size)
    return at > len(data)


def _gif_ends_early(data: bytes) -> bool:
    """Walk the blocks up to the end of the first picture."""
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


def _bmp_ends_early(data: bytes) -> bool:
    """Compare with what uncompressed rows need; run lengths are left to the decoder."""
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


def _tiff_ends_early(data: bytes) -> bool:
    """Look for a directory, or a strip it lists, that lies beyond the end."""
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
