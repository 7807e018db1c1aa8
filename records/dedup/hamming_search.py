"""Exact search for pairs of pictures with similar hashes.

The first word of a hash (64 bits) is divided into five chunks: if at most 9 bits differ, at least
one chunk differs in at most one bit. Pictures are sorted by each chunk. Only pictures with chunks
that differ in at most one bit are compared: out of a million pictures, each is compared with about
twelve thousand.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from records.dedup.thresholds import MAX_DISTANCE, MAX_DISTANCE_FIRST_WORD
from records.runtime.cpu import available_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_CHUNK_BITS = (13, 13, 13, 13, 12)
_BLOCK = 1 << 17
_SLICES = 64


class Pairs(NamedTuple):
    """Pairs of pictures, given by their positions, with `first` < `second`.

    Attributes:
        first: the first positions, int64 of shape (pairs,).
        second: the second positions, int64 of shape (pairs,).
        distance: the Hamming distances in bits, uint8 of shape (pairs,).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.uint8]


def find_pairs(
    hashes: NDArray[np.uint64],
    max_distance: NDArray[np.uint8] | int = MAX_DISTANCE,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Pairs:
    """Return all pairs of near pictures, sorted, each pair once.

    Args:
        hashes: the hashes, of shape (pictures, windows, words); the first window is the full
            picture.
        max_distance: the maximum distance, in bits, of each picture to a picture near to it. To a
            pair, the smaller of the two maximum distances applies.
        on_progress: a callback that receives the number of finished parts of the search, and the
            total number of parts.
    """
    limits = np.broadcast_to(np.asarray(max_distance, np.uint8), len(hashes))
    found = []
    with ThreadPoolExecutor(available_cpus()) as threads:
        for number, chunk in enumerate(_chunks(hashes, limits)):
            values = np.unique(chunk.whole_values)
            parts = np.array_split(values, _SLICES)
            for part, pairs in enumerate(threads.map(chunk.find, parts)):
                found.append(pairs)
                on_progress(number * _SLICES + part + 1, len(_CHUNK_BITS) * _SLICES)
    return _unite(found, len(hashes))


def _unite(found: list[Pairs], pictures: int) -> Pairs:
    """Return each pair once, with its smallest distance over all chunks and windows."""
    first, second, distance = (np.concatenate(column) for column in zip(*found, strict=True))
    # One integer encodes a pair and its distance, so a sort orders by pair, then by distance.
    ordered = np.unique((first * pictures + second) << 8 | distance)
    pair = ordered >> 8
    ordered = ordered[np.diff(pair, prepend=-1) != 0]
    first, second = np.divmod(ordered >> 8, max(1, pictures))
    return Pairs(first, second, (ordered & 0xFF).astype(np.uint8))


class _Chunk:
    """All pictures sorted by one chunk of the first word of their hashes."""

    def __init__(
        self, hashes: NDArray[np.uint64], limits: NDArray[np.uint8], shift: int, bits: int
    ) -> None:
        self._hashes = hashes
        self._limits = limits
        self._bits = bits
        values = (hashes[:, :, 0] >> np.uint64(shift)).astype(np.int64) & ((1 << bits) - 1)
        self.whole_values = values[:, 0]
        self._whole = _Buckets(hashes[:, 0, 0], values[:, 0], bits)
        self._windows = _Buckets(hashes[:, :, 0].ravel(), values.ravel(), bits)

    def find(self, values: NDArray[np.int64]) -> Pairs:
        """Return the pairs in which the full hash of a picture has one of these chunk values."""
        found = [_NO_PAIRS, *(pairs for value in values.tolist() for pairs in self._compare(value))]
        return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def _compare(self, value: int) -> Iterator[Pairs]:
        """Compare pictures with this chunk value to windows with a value at most 1 bit away."""
        whole, whole_places = self._whole.of([value])
        near = [value, *(value ^ (1 << bit) for bit in range(self._bits))]
        windows, window_places = self._windows.of(near)
        step = max(1, _BLOCK // len(windows))
        for start in range(0, len(whole), step):
            part = whole[start : start + step, None]
            hits = np.flatnonzero(np.bitwise_count(part ^ windows) <= MAX_DISTANCE_FIRST_WORD)
            row, column = np.divmod(hits, len(windows))
            yield self._keep_near(whole_places[start + row], window_places[column])

    def _keep_near(self, whole: NDArray[np.int64], window: NDArray[np.int64]) -> Pairs:
        """Return the pairs that are near in all words; leave out pairs of a picture and itself."""
        other, number = np.divmod(window, self._hashes.shape[1])
        differ = whole != other
        whole, other, number = whole[differ], other[differ], number[differ]
        bits = np.bitwise_count(self._hashes[whole, 0] ^ self._hashes[other, number])
        distance = bits.sum(axis=1, dtype=np.uint8)
        near = distance <= np.minimum(self._limits[whole], self._limits[other])
        whole, other = whole[near], other[near]
        return Pairs(np.minimum(whole, other), np.maximum(whole, other), distance[near])


class _Buckets:
    """Hash words sorted by a value from 0 to 2 ** bits - 1, with their positions."""

    def __init__(self, words: NDArray[np.uint64], values: NDArray[np.int64], bits: int) -> None:
        self._places = np.argsort(values, kind="stable")
        self._words = words[self._places]
        self._ends = np.bincount(values, minlength=1 << bits).cumsum()

    def of(self, values: list[int]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the words with these values, and their positions."""
        slices = [
            slice(self._ends[value - 1] if value else 0, self._ends[value]) for value in values
        ]
        words = np.concatenate([self._words[part] for part in slices])
        return words, np.concatenate([self._places[part] for part in slices])


def _chunks(hashes: NDArray[np.uint64], limits: NDArray[np.uint8]) -> Iterator[_Chunk]:
    shift = 0
    for bits in _CHUNK_BITS:
        yield _Chunk(hashes, limits, shift, bits)
        shift += bits


_NO_PAIRS = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))
