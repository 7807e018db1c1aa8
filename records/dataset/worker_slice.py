"""Which records of a split are one worker's, where several share it: each is one's. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from records.errors import UsageError


@dataclass(frozen=True)
class WorkerSlice:
    """One of several parts of a split, as large as the others to within one record.

    A part is a run of neighbours, so it opens few shards; they lie in the order of a hash, so it is
    a fair sample. That there are fewer shards than parts changes nothing.

    Args:
        index: which of them, from 0.
        count: how many there are.
        padded: it is as large as the largest: a smaller one has its neighbour's first record too.

    Raises:
        UsageError: there is no such part.
    """

    index: int = 0
    count: int = 1
    padded: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UsageError(
                "there is no such part of a split",
                expected="shard_index from 0, below shard_count",
                got=f"shard_index {self.index}, shard_count {self.count}",
            )

    def record_range(self, records: int) -> range:
        """The places of its records among all."""
        begin, end = (records * index // self.count for index in (self.index, self.index + 1))
        # The last part is always one of the largest, so none reaches beyond the end.
        return range(begin, begin + self.max_records(records) if self.padded else end)

    def max_records(self, records: int) -> int:
        """How many records the largest part has."""
        return -(-records // self.count)


ALL_RECORDS = WorkerSlice()
