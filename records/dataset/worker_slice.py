"""Slice of a split for one of several workers."""

from __future__ import annotations

from dataclasses import dataclass

from records.errors import UsageError


@dataclass(frozen=True)
class WorkerSlice:
    """One of several slices of a split. Their lengths differ by at most one record.

    A slice contains consecutive records, so a worker opens few shards. Records are stored in the
    order of a hash, so every slice is a random sample. There may be more slices than shards.

    Args:
        index: the number of the slice, from 0.
        count: the number of slices.
        padded: whether all slices have the length of the longest slice: a shorter slice also
            contains the first record of the next slice.

    Raises:
        UsageError: `index` is not from 0 to `count` - 1.
    """

    index: int = 0
    count: int = 1
    padded: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UsageError(
                "invalid slice of a split",
                expected="shard_index from 0 to shard_count - 1",
                got=f"shard_index {self.index}, shard_count {self.count}",
            )

    def record_range(self, records: int) -> range:
        """Return the numbers of the records of the slice, in a split of `records` records."""
        begin, end = (records * index // self.count for index in (self.index, self.index + 1))
        # The last slice is always one of the longest: padding never exceeds the end of the split.
        return range(begin, begin + self.max_records(records) if self.padded else end)

    def max_records(self, records: int) -> int:
        """Return the length of the longest slice of a split of `records` records."""
        return -(-records // self.count)


ALL_RECORDS = WorkerSlice()
