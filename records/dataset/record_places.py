"""Places of the records of a split in the shards."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple


class Place(NamedTuple):
    """The number of a shard, and the number of a record in this shard."""

    shard: int
    record: int


class RecordPlaces:
    """The places of consecutive records, by number.

    Args:
        shard_records: the number of records of each shard.
        numbers: the numbers of the records in the whole split.
    """

    def __init__(self, shard_records: Iterable[int], numbers: range) -> None:
        # The number of the first record of each shard, and of the one after the last shard.
        self._starts = list(accumulate(shard_records, initial=0))
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, number: int) -> Place:
        """Return the place of a record. Raises IndexError."""
        position = self._numbers[number]
        shard = bisect_right(self._starts, position) - 1
        return Place(shard, position - self._starts[shard])

    def by_shard(self) -> Iterator[tuple[int, range]]:
        """Yield the number of each shard with some of the records, and their numbers in it."""
        numbers = self._numbers
        for shard, (first, end) in enumerate(pairwise(self._starts)):
            own = range(max(numbers.start, first) - first, min(numbers.stop, end) - first)
            if own:
                yield shard, own
