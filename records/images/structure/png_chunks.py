"""Chunks of a PNG that every decoder reads in the same way.

    IHDR | ancillary chunks, PLTE | IDAT | IDAT … | ancillary chunks | IEND

Pillow ignores most faults in the name, order, number or length of a chunk. libpng ignores some
faults and rejects files with others; the choice depends on its version.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

# Ancillary, public or private, of the current version of PNG, and safe or unsafe to copy.
_ANCILLARY = re.compile(rb"[a-z][A-Za-z][A-Z][A-Za-z]")
# Chunks that occur at most once: the valid lengths, for some chunks by colour type.
_LENGTHS: dict[bytes, Container[int]] = {
    b"cHRM": {32},
    b"cICP": {4},
    b"cLLI": {8},
    b"eXIf": range(1, 1 << 31),
    b"gAMA": {4},
    b"hIST": range(2, 513, 2),
    b"iCCP": range(3, 1 << 31),
    b"mDCV": {24},
    b"oFFs": {9},
    b"pCAL": range(14, 1 << 31),
    b"pHYs": {9},
    b"sCAL": range(4, 1 << 31),
    b"sRGB": {1},
    b"sTER": {1},
    b"tIME": {7},
}
_LENGTHS_BY_COLOUR: dict[bytes, dict[int, Container[int]]] = {
    b"PLTE": dict.fromkeys((2, 3, 6), range(3, 769, 3)),
    b"bKGD": {0: {2}, 2: {6}, 3: {1}, 4: {2}, 6: {6}},
    b"sBIT": {0: {1}, 2: {3}, 3: {3}, 4: {2}, 6: {4}},
    b"tRNS": {0: {2}, 2: {6}, 3: range(1, 257)},
}
_ANYWHERE = {b"tIME", b"eXIf"}
_BEFORE_PALETTE = {b"cHRM", b"cICP", b"cLLI", b"gAMA", b"iCCP", b"mDCV", b"sBIT", b"sRGB"}
_AFTER_PALETTE = {b"bKGD", b"hIST", b"tRNS"}
# libpng rejects longer chunks, except image data that is not longer than its rows, stored in
# blocks without compression.
_MAX_CHUNK_BYTES, _MAX_BLOCK_BYTES = 8_000_000, 32_566


class ChunkOrder:
    """Check of chunks, one after another, against the specification of PNG.

    Args:
        colour_type: the colour type in the header chunk.
        rows_bytes: the size of the uncompressed image data.

    Attributes:
        regular: whether all chunks so far are valid.
    """

    def __init__(self, colour_type: int, rows_bytes: int) -> None:
        self.regular = True
        self._colour_type = colour_type
        blocks = rows_bytes // _MAX_BLOCK_BYTES + 1
        self._max_data_bytes = max(_MAX_CHUNK_BYTES, rows_bytes + 6 + 5 * blocks)
        self._last = b"IHDR"
        self._seen: set[bytes] = set()

    def add(self, kind: bytes, length: int) -> None:
        """Check the chunk that follows the previous chunks."""
        self.regular = self.regular and self._follows(kind, length)
        self._last = kind
        if kind == b"IDAT" or kind in _LENGTHS or kind in _LENGTHS_BY_COLOUR:
            self._seen.add(kind)

    def allows_data(self, length: int) -> bool:
        """Return whether an IDAT chunk of this length is valid after IHDR."""
        return length <= self._max_data_bytes

    def _follows(self, kind: bytes, length: int) -> bool:
        if kind == b"IDAT":
            is_consecutive = kind not in self._seen or self._last == kind
            return is_consecutive and self.allows_data(length)
        lengths = self._valid_lengths(kind)
        if lengths is None:
            is_known = kind == b"IEND" and length == 0
            return is_known or (_is_ancillary(kind) and length <= _MAX_CHUNK_BYTES)
        is_valid = kind not in self._seen and length in lengths and length <= _MAX_CHUNK_BYTES
        return is_valid and not self._is_late(kind)

    def _valid_lengths(self, kind: bytes) -> Container[int] | None:
        """Return the lengths of a chunk that occurs at most once; None for other chunks."""
        if kind in _LENGTHS_BY_COLOUR:
            return _LENGTHS_BY_COLOUR[kind].get(self._colour_type, ())
        return _LENGTHS.get(kind)

    def _is_late(self, kind: bytes) -> bool:
        """Return whether a chunk comes after a chunk that must follow it."""
        if kind == b"PLTE" and self._seen & _AFTER_PALETTE:
            return True
        if kind in _BEFORE_PALETTE and b"PLTE" in self._seen:
            return True
        return kind not in _ANYWHERE and b"IDAT" in self._seen


def _is_ancillary(kind: bytes) -> bool:
    return _ANCILLARY.fullmatch(kind) is not None


def has_zlib_header(first_data: memoryview) -> bool:
    """Return whether image data begins with the header of a zlib stream without dictionary."""
    if len(first_data) < 2:
        return False
    method, flags = first_data[0], first_data[1]
    is_deflate = method & 15 == 8 and method >> 4 <= 7
    return is_deflate and (method << 8 | flags) % 31 == 0 and not flags & 0x20
