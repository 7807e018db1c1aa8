"""Markers of a JPEG that every decoder reads in the same way.

    FF D8 | tables, application data, comments | frame header | … | scan header, scan | … | FF D9

Decoders differ in the errors that they tolerate: undefined tables, invalid parameters of a scan,
markers that are not defined for the coding. A file of this structure has none of them. Bytes
between two segments are allowed, because all decoders skip them. Entropy-coded bytes are not
decoded.
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

_END, _SCAN = 0xD9, 0xDA
_QUANTIZATION, _HUFFMAN, _RESTART_INTERVAL = 0xDB, 0xC4, 0xDD
_FRAMES = {0xC0, 0xC1, 0xC2}
_PROGRESSIVE = 0xC2
_IGNORED = {0xFE, *range(0xE0, 0xF0)}
_RESTARTS = 0xD0
_FILL = 0xFF
# After FF, entropy-coded data has a zero byte; a marker or a fill byte ends it.
_END_OF_DATA = re.compile(rb"\xff[^\x00]")
_DC, _AC = 0, 1
_TABLES, _CODE_BITS, _MAX_SYMBOLS, _MAX_DC_SYMBOL = 4, 16, 256, 15
_CODE_WEIGHTS = [1 << _CODE_BITS - bits for bits in range(1, _CODE_BITS + 1)]
_COEFFICIENTS, _MAX_FACTOR, _MAX_BLOCKS, _MAX_SHIFT = 64, 4, 10, 13
_SEQUENTIAL_SCAN = bytes([0, _COEFFICIENTS - 1, 0])
_SIZE_BYTES = 5  # precision, height and width of a frame header


class _IrregularError(Exception):
    """A marker is not one of the structure."""


# The caches help because most files have the same segments. Their keys have at most 64 kB.
_cached = lru_cache(maxsize=256)


class _Component(NamedTuple):
    id: int
    across: int
    down: int
    table: int


def _require(condition: bool) -> None:
    if not condition:
        raise _IrregularError


class MarkerOrder:
    """Check of markers, one after another, against the structure.

    Args:
        data: the complete file.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_regular = True
        self._components: tuple[_Component, ...] = ()  # of the frame header, in its order
        self._progressive = False
        # Tables as bits: bit n is the quantization table n, the DC table n, or the AC table n - 4.
        self._quantization = self._huffman = 0
        self._restart_interval = 0  # none
        self._scanned: set[int] = set()  # the components that a scan contains

    def add(self, marker: int, begin: int, end: int) -> None:
        """Check the marker that follows the previous markers; its payload has these offsets."""
        if marker not in _IGNORED and self._is_regular:
            try:
                self._define(marker, self._data[begin:end])
            except (_IrregularError, IndexError):
                self._is_regular = False

    def is_regular(self, scan_at: int) -> bool:
        """Return whether all markers are valid, up to the end-of-image marker.

        Args:
            scan_at: the offset of the first entropy-coded byte, after the markers that were added.
        """
        if not self._is_regular:
            return False
        try:
            self._read_scans(scan_at)
        except (_IrregularError, IndexError, ValueError):
            return False
        return len(self._scanned) == len(self._components)

    def _define(self, marker: int, payload: bytes) -> None:
        if marker == _HUFFMAN:
            self._huffman |= _read_huffman(payload)
        elif marker == _QUANTIZATION:
            self._quantization |= _read_quantization(payload)
        elif marker == _SCAN:
            _require(self._progressive or self._scanned.isdisjoint(payload[1:-3:2]))
            tables = self._quantization, self._huffman
            self._scanned |= _read_scan(payload, self._components, *tables, self._progressive)
        elif marker == _RESTART_INTERVAL:
            _require(len(payload) == 2)
            self._restart_interval = int.from_bytes(payload)
        else:
            _require(marker in _FRAMES and not self._components)
            self._components = _read_components(payload[_SIZE_BYTES:])
            self._progressive = marker == _PROGRESSIVE

    def _read_scans(self, at: int) -> None:
        """Check the scan at an offset, and all markers after it, up to the end of the image."""
        data, marker = self._data, _SCAN
        while True:
            if marker == _SCAN:
                at = _skip_scan(data, at, self._restart_interval)
            marker, at = _next_marker(data, at)
            if marker == _END:
                return
            begin, at = at + 2, at + int.from_bytes(data[at : at + 2])
            _require(begin <= at <= len(data))
            if marker not in _IGNORED:
                self._define(marker, data[begin:at])


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """Return the first marker at or after an offset, and the offset after the marker."""
    marker = 0
    while marker == 0:
        at = _skip_fill(data, data.index(_FILL, at))
        marker, at = data[at], at + 1
    return marker, at


def _skip_fill(data: bytes, at: int) -> int:
    while data[at] == _FILL:
        at += 1
    return at


def _skip_scan(data: bytes, at: int, interval: int) -> int:
    """Return the offset of the marker after a scan; check the restart markers in the scan."""
    restarts = 0
    while found := _END_OF_DATA.search(data, at):
        at = found.end()
        marker = data[at - 1]
        if marker & ~7 != _RESTARTS:
            # A zero byte after fill bytes would be data for some decoders.
            _require(data[_skip_fill(data, at - 2)] != 0)
            return at - 2
        _require(interval > 0 and marker == _RESTARTS + restarts % 8)
        restarts += 1
    raise _IrregularError


@_cached
def _read_scan(
    payload: bytes,
    frame: tuple[_Component, ...],
    quantization: int,
    huffman: int,
    progressive: bool,
) -> frozenset[int]:
    """Return the components of a scan."""
    count, parameters = payload[0], payload[-3:]
    _require(len(payload) == 4 + 2 * count)
    ids, tables = payload[1:-3:2], payload[2:-3:2]
    components = [component for component in frame if component.id in ids]
    # In the order of the frame, each at most once.
    _require(count > 0 and list(ids) == [component.id for component in components])
    _require(count == 1 or sum(c.across * c.down for c in components) <= _MAX_BLOCKS)
    _require(all(quantization >> component.table & 1 for component in components))
    if progressive:
        _require(_is_progressive_scan(count, parameters))
    else:
        _require(parameters == _SEQUENTIAL_SCAN)
    first, last, bits = parameters
    for table in tables:
        dc, ac = table >> 4, table & 15
        _require(dc < _TABLES and ac < _TABLES)
        _require(first > 0 or bits >> 4 > 0 or huffman >> dc & 1 > 0)
        _require(last == 0 or huffman >> (_TABLES + ac) & 1 > 0)
    return frozenset(ids)


@_cached
def _read_quantization(payload: bytes) -> int:
    """Return the tables that a segment defines, as bits."""
    found = 0
    while payload:
        bytes_per_value, table = (payload[0] >> 4) + 1, payload[0] & 15
        size = 1 + _COEFFICIENTS * bytes_per_value
        _require(bytes_per_value <= 2 and table < _TABLES and len(payload) >= size)
        found |= 1 << table
        payload = payload[size:]
    return found


@_cached
def _read_huffman(payload: bytes) -> int:
    """Return the tables that a segment defines, as bits."""
    found = 0
    while payload:
        kind, table = payload[0] >> 4, payload[0] & 15
        counts = payload[1 : 1 + _CODE_BITS]
        size = 1 + _CODE_BITS + sum(counts)
        symbols = payload[1 + _CODE_BITS : size]
        _require(kind in {_DC, _AC} and table < _TABLES and len(payload) >= size)
        _require(_is_prefix_code(counts) and len(symbols) <= _MAX_SYMBOLS)
        _require(kind == _AC or max(symbols, default=0) <= _MAX_DC_SYMBOL)
        found |= 1 << _TABLES * kind + table
        payload = payload[size:]
    return found


def _is_prefix_code(counts: bytes) -> bool:
    """Return whether a Huffman code with this number of codes of each length exists.

    The code of ones alone is reserved, so the codes leave some bits unused.
    """
    used: int = sum(map(mul, counts, _CODE_WEIGHTS))
    return used < 1 << _CODE_BITS


@_cached
def _read_components(payload: bytes) -> tuple[_Component, ...]:
    """Return the components of a frame header, whose number precedes them."""
    count = payload[0]
    _require(count in {1, 3, 4} and len(payload) == 1 + 3 * count)
    found = tuple(
        _Component(payload[at], payload[at + 1] >> 4, payload[at + 1] & 15, payload[at + 2])
        for at in range(1, len(payload), 3)
    )
    _require(len({part.id for part in found}) == count and _is_sampling(found))
    _require(all(part.table < _TABLES for part in found))
    return found


def _is_sampling(components: Collection[_Component]) -> bool:
    """Return whether each sample of a component covers a whole number of pixels."""
    across = max(part.across for part in components)
    down = max(part.down for part in components)
    return all(
        0 < part.across <= _MAX_FACTOR
        and 0 < part.down <= _MAX_FACTOR
        and across % part.across == 0
        and down % part.down == 0
        for part in components
    )


def _is_progressive_scan(count: int, parameters: bytes) -> bool:
    first, last, bits = parameters
    high, low = bits >> 4, bits & 15
    if last >= _COEFFICIENTS or low > _MAX_SHIFT or (high and high != low + 1):
        return False
    return last == 0 if first == 0 else count == 1 and first <= last
