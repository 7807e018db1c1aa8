"""Which pictures are near each other, by their hashes, without comparing each with each.

Two pictures are near where the whole of one and a window of the other differ in at most 8 bits of
the first word, which is 64 bits long, and in at most 28 of all 144. Of small images, which have no
detail by which two digits or icons of one shape differ, it is at most 10.

The search is exact. The first word is divided into five chunks: where at most 9 bits differ, one of
the chunks differs in at most one. So pictures are sorted by a chunk, and compared with those alone
whose chunk is the same but for one bit. Of a million, each meets some twelve thousand.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from records.runtime.cpu import available_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

LOW_BITS_APART = 8
BITS_APART = 28
SMALL_BITS_APART = 10

_CHUNK_BITS = (13, 13, 13, 13, 12)
_BLOCK = 1 << 17
_SLICES = 64


class Pairs(NamedTuple):
    """Pairs of pictures by their places, `first` < `second`, in order, each pair once.

    Attributes:
        first: int64.
        second: int64.
        bits_apart: uint8.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    bits_apart: NDArray[np.uint8]


def find_pairs(
    hashes: NDArray[np.uint64],
    most_apart: NDArray[np.uint8] | int = BITS_APART,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Pairs:
    """All pairs of near pictures.

    Args:
        hashes: of shape (pictures, windows, words), the first window the whole picture.
        most_apart: the most bits that each picture may be apart from another; of a pair the less.
        on_progress: told how many parts of the search are done, and of how many.
    """
    limits = np.broadcast_to(np.asarray(most_apart, np.uint8), len(hashes))
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
    """Each pair once, by its least distance: it may have been found by many chunks and windows."""
    first, second, apart = (np.concatenate(column) for column in zip(*found, strict=True))
    # By pair and then by distance, in one number.
    ordered = np.unique((first * pictures + second) << 8 | apart)
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
        """The pairs whose one picture has one of these values."""
        found = [_NO_PAIRS, *(pairs for value in values.tolist() for pairs in self._compare(value))]
        return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def _compare(self, value: int) -> Iterator[Pairs]:
        """The pictures of a value with the windows whose value differs in one bit at most."""
        whole, whole_places = self._whole.of([value])
        near = [value, *(value ^ (1 << bit) for bit in range(self._bits))]
        windows, window_places = self._windows.of(near)
        step = max(1, _BLOCK // len(windows))
        for start in range(0, len(whole), step):
            part = whole[start : start + step, None]
            hits = np.flatnonzero(np.bitwise_count(part ^ windows) <= LOW_BITS_APART)
            row, column = np.divmod(hits, len(windows))
            yield self._judge(whole_places[start + row], window_places[column])

    def _judge(self, whole: NDArray[np.int64], window: NDArray[np.int64]) -> Pairs:
        """Those that are near by all their bits; a picture is no pair with its own windows."""
        other, number = np.divmod(window, self._hashes.shape[1])
        differ = whole != other
        whole, other, number = whole[differ], other[differ], number[differ]
        bits = np.bitwise_count(self._hashes[whole, 0] ^ self._hashes[other, number])
        apart = bits.sum(axis=1, dtype=np.uint8)
        near = apart <= np.minimum(self._limits[whole], self._limits[other])
        whole, other = whole[near], other[near]
        return Pairs(np.minimum(whole, other), np.maximum(whole, other), apart[near])


class _Buckets:
    """Words sorted by a value from 0 up to 2 ** bits, and their places."""

    def __init__(self, words: NDArray[np.uint64], values: NDArray[np.int64], bits: int) -> None:
        self._places = np.argsort(values, kind="stable")
        self._words = words[self._places]
        self._ends = np.bincount(values, minlength=1 << bits).cumsum()

    def of(self, values: list[int]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The words of some values, and their places."""
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
