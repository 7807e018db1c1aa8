"""A dataset in a dry run of a repair: nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from records.storage import StagedFile, Storage


class _Discarded:
    """A staged file of a dry run."""

    def write(self, _data: bytes, /) -> None:
        """Discard the bytes."""


@contextmanager
def discard(_name: str) -> Iterator[StagedFile]:
    """Open a file to replace, and write nothing."""
    yield _Discarded()


class DryRunStorage:
    """A dataset that is not changed, with the small files that a dry run has made."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.made: dict[str, bytes] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        return self.made[name] if name in self.made else self._storage.read(name)

    def overwrite(self, name: str) -> AbstractContextManager[StagedFile]:
        """Write nothing."""
        return discard(name)
