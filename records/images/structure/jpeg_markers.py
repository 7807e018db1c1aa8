"""Markers of a JPEG that every decoder reads in the same way.

    FF D8 | tables, application data, comments | frame header | … | scan header, scan | … | FF D9

Decoders differ in the errors that they tolerate: undefined tables, invalid parameters of a scan,
markers that are not defined for the coding. A file of this structure has none of them. Bytes
between two segments are allowed, because all decoders skip them. Entropy-coded bytes are not
decoded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
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


class _Component(NamedTuple):
    id: int
    across: int
    down: int
    table: int


def _require(condition: bool) -> None:
    if not condition:
        raise _IrregularError


@dataclass(frozen=True, eq=False, slots=True)
class _State:
    """The definitions that the markers so far have made.

    States are compared by identity: the hash of their values would take longer than a cached call.

    Attributes:
        components: the components of the frame header, in its order.
        progressive: whether the frame is progressive.
        quantization: the numbers of the quantization tables.
        huffman: class and number of the Huffman tables.
        interval: the restart interval; 0 means none.
        scanned: the components that a scan contains.
    """

    components: tuple[_Component, ...] = ()
    progressive: bool = False
    quantization: frozenset[int] = frozenset()
    huffman: frozenset[tuple[int, int]] = frozenset()
    interval: int = 0
    scanned: frozenset[int] = frozenset()


_BEGIN = _State()


class MarkerOrder:
    """Check of markers, one after another, against the structure.

    Args:
        data: the complete file.

    Attributes:
        regular: whether all markers so far are valid.
    """

    def __init__(self, data: bytes) -> None:
        self.regular = True
        self._data = data
        self._state = _BEGIN

    def add(self, marker: int, begin: int, end: int) -> None:
        """Check the marker that follows the previous markers; its payload has these offsets."""
        if self.regular and marker not in _IGNORED:
            begin += _SIZE_BYTES if marker in _FRAMES else 0
            try:
                self._state = _read_segment(self._state, marker, self._data[begin:end])
            except (_IrregularError, IndexError):
                self.regular = False

    def add_rest(self, at: int) -> None:
        """Check the scan at an offset, and all markers after it, up to the end of the image."""
        try:
            marker = _SCAN
            while self.regular and marker != _END:
                marker, at = self._next_marker(self._skip_scan(at) if marker == _SCAN else at)
                if marker != _END:
                    at = self._add_at(marker, at)
            missing = len(self._state.components) - len(self._state.scanned)
            self.regular = self.regular and not missing
        except (_IrregularError, IndexError, ValueError):
            self.regular = False

    def _add_at(self, marker: int, at: int) -> int:
        """Check the marker whose length is at an offset; return the offset after the segment."""
        end = at + int.from_bytes(self._data[at : at + 2])
        _require(at + 2 <= end <= len(self._data))
        self.add(marker, at + 2, end)
        return end

    def _next_marker(self, at: int) -> tuple[int, int]:
        """Return the first marker at or after an offset, and the offset after the marker."""
        marker = 0
        while marker == 0:
            at = self._skip_fill(self._data.index(_FILL, at))
            marker, at = self._data[at], at + 1
        return marker, at

    def _skip_fill(self, at: int) -> int:
        while self._data[at] == _FILL:
            at += 1
        return at

    def _skip_scan(self, at: int) -> int:
        """Return the offset of the marker after a scan; check the restart markers in the scan."""
        restarts = 0
        while found := _END_OF_DATA.search(self._data, at):
            marker = self._data[found.end() - 1]
            if marker & ~7 != _RESTARTS:
                # A zero byte after fill bytes would be data for some decoders.
                _require(self._data[self._skip_fill(found.start())] != 0)
                return found.start()
            _require(self._state.interval > 0 and marker == _RESTARTS + restarts % 8)
            restarts, at = restarts + 1, found.end()
        raise _IrregularError


# The cache helps because most files have the same tables; its keys have at most 64 kB.
@lru_cache(maxsize=256)
def _read_segment(state: _State, marker: int, payload: bytes) -> _State:
    """Return the state after a marker; the payload of a frame header begins with its components."""
    if marker == _QUANTIZATION:
        return replace(state, quantization=state.quantization | _read_quantization(payload))
    if marker == _HUFFMAN:
        return replace(state, huffman=state.huffman | _read_huffman(payload))
    if marker == _RESTART_INTERVAL:
        _require(len(payload) == 2)
        return replace(state, interval=int.from_bytes(payload))
    if marker == _SCAN:
        return replace(state, scanned=state.scanned.union(_read_scan(state, payload)))
    _require(marker in _FRAMES and not state.components)
    return replace(state, components=_read_components(payload), progressive=marker == _PROGRESSIVE)


def _read_scan(state: _State, payload: bytes) -> bytes:
    """Return the components of a scan."""
    count, parameters = payload[0], payload[-3:]
    _require(len(payload) == 4 + 2 * count)
    ids, tables = payload[1:-3:2], payload[2:-3:2]
    components = [component for component in state.components if component.id in ids]
    # In the order of the frame, each at most once.
    _require(count > 0 and list(ids) == [component.id for component in components])
    _require(count == 1 or sum(c.across * c.down for c in components) <= _MAX_BLOCKS)
    _require(state.quantization.issuperset([component.table for component in components]))
    if state.progressive:
        _require(_is_progressive_scan(count, parameters))
    else:
        _require(parameters == _SEQUENTIAL_SCAN and state.scanned.isdisjoint(ids))
    first, last, bits = parameters
    for table in tables:
        dc, ac = table >> 4, table & 15
        _require(dc < _TABLES and ac < _TABLES)
        _require(first > 0 or bits >> 4 > 0 or (_DC, dc) in state.huffman)
        _require(last == 0 or (_AC, ac) in state.huffman)
    return ids


def _read_quantization(payload: bytes) -> frozenset[int]:
    """Return the numbers of the tables that a segment defines."""
    found = []
    while payload:
        bytes_per_value, table = (payload[0] >> 4) + 1, payload[0] & 15
        size = 1 + _COEFFICIENTS * bytes_per_value
        _require(bytes_per_value <= 2 and table < _TABLES and len(payload) >= size)
        found.append(table)
        payload = payload[size:]
    return frozenset(found)


def _read_huffman(payload: bytes) -> frozenset[tuple[int, int]]:
    """Return class and number of the tables that a segment defines."""
    found = []
    while payload:
        kind, table = payload[0] >> 4, payload[0] & 15
        counts = payload[1 : 1 + _CODE_BITS]
        size = 1 + _CODE_BITS + sum(counts)
        symbols = payload[1 + _CODE_BITS : size]
        _require(kind in {_DC, _AC} and table < _TABLES and len(payload) >= size)
        _require(_is_prefix_code(counts) and len(symbols) <= _MAX_SYMBOLS)
        _require(kind == _AC or max(symbols, default=0) <= _MAX_DC_SYMBOL)
        found.append((kind, table))
        payload = payload[size:]
    return frozenset(found)


def _is_prefix_code(counts: bytes) -> bool:
    """Return whether a Huffman code with this number of codes of each length exists.

    The code of ones alone is reserved, so the codes leave some bits unused.
    """
    used: int = sum(map(mul, counts, _CODE_WEIGHTS))
    return used < 1 << _CODE_BITS


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
