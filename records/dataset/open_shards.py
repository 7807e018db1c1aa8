"""Open shards, within the limit of open files of the process."""

from __future__ import annotations

import resource
import weakref
from collections import deque
from typing import TYPE_CHECKING

from records.format.shard import ShardReader

if TYPE_CHECKING:
    from records.storage import Storage

MAX_OPEN_SHARDS = 256
_LIMIT_PART = 4


class OpenShards:
    """The open shards of one split, by number.

    All splits of a process together keep a quarter of the files open that the process may open. Of
    the shards, one that was not used lately is closed, as soon as no thread reads it. The order is
    that of a clock: the shard that was opened first goes, unless it was used since its last turn.

    Args:
        storage: the dataset folder.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._readers: dict[int, ShardReader] = {}
        self._used: set[int] = set()
        self._turns: deque[int] = deque()
        _splits.add(self)

    def get(self, number: int) -> ShardReader | None:
        """Return the reader of a shard; None if the shard is not open."""
        reader = self._readers.get(number)
        if reader is not None:
            self._used.add(number)
        return reader

    def open(self, number: int, name: str, *, at_most: int) -> ShardReader:
        """Return a new reader, and close others if more than `at_most` would be open.

        Raises:
            FileNotFoundError: the shard is missing; some storages raise this error only in `read`.
            StorageError: storage failed after retries.
        """
        while len(self) >= max(at_most, 1):
            self._close_one()
        others = [shards for shards in list(_splits) if len(shards)]
        while sum(map(len, others)) >= _limit():
            max(others, key=len)._close_one()  # noqa: SLF001 # of the same class
        reader = ShardReader(self._storage.open_random_access(name))
        self._readers[number] = reader
        self._turns.append(number)
        return reader

    def __len__(self) -> int:
        return len(self._readers)

    def _close_one(self) -> None:
        try:
            while (number := self._turns.popleft()) in self._used:
                self._used.discard(number)
                self._turns.append(number)
        except IndexError:  # other threads have closed all
            return
        self._readers.pop(number, None)

    def __reduce__(self) -> tuple[type[OpenShards], tuple[Storage]]:
        # Another process opens the shards again.
        return OpenShards, (self._storage,)


_splits: weakref.WeakSet[OpenShards] = weakref.WeakSet()


def _limit() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_OPEN_SHARDS
    return max(1, min(MAX_OPEN_SHARDS, files // _LIMIT_PART))
