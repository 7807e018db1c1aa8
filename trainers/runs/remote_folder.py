"""The folder of a run at a URL."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from records.storage.remote_folder import is_vacant, upload_folder
from records.storage.work_folder import remove_own_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from records.storage import FileInfo, FolderLock, RemoteStorage


class RemoteRunFolder:
    """The files of a run at a URL; see `RunFolder`.

    Files are written from memory, so a run needs no local disk. The lock is a lease, which is
    renewed before each write: a process that was suspended until another one took over writes
    nothing.
    """

    def __init__(self, storage: RemoteStorage) -> None:
        self._storage = storage
        self._lease: FolderLock | None = None
        self.location = storage.url

    def display_name(self, name: str) -> str:
        """See `RunFolder.display_name`."""
        return self._storage.display_name(name)

    def open(self, name: str) -> BinaryIO:
        """See `RunFolder.open`."""
        return self._storage.open(name)

    def local_path(self, _name: str) -> Path | None:
        """See `RunFolder.local_path`."""
        return None

    def stat(self, name: str) -> FileInfo | None:
        """See `RunFolder.stat`."""
        return self._storage.stat(name)

    def list(self, folder: str) -> list[str]:
        """See `RunFolder.list`."""
        return self._storage.list(folder)

    def is_vacant(self, *, ignored: Collection[str] = ()) -> bool:
        """See `RunFolder.is_vacant`."""
        return is_vacant(self._storage, ignored=ignored)

    def new(self, *, last: str) -> AbstractContextManager[Path]:
        """See `RunFolder.new`; the caller holds the lock."""
        return upload_folder(self._storage, last=last)

    @contextmanager
    def lock(self, create: Callable[[], object]) -> Iterator[None]:
        """See `RunFolder.lock`."""
        with self._storage.lock() as lease:
            self._lease = lease
            try:
                create()
                yield
            finally:
                self._lease = None

    def remove_leftovers(self, *_folders: str) -> None:
        """See `RunFolder.remove_leftovers`."""
        remove_own_files(self._storage)

    def write(self, name: str, content: bytes | BinaryIO) -> None:
        """See `RunFolder.write`."""
        self._ensure_held()
        self._storage.replace(name, content if isinstance(content, bytes) else content.read())

    def swap(self, name: str, old: bytes, new: bytes) -> None:
        """See `RunFolder.swap`."""
        self._ensure_held()
        self._storage.compare_and_swap(name, old, new)

    def remove(self, name: str) -> None:
        """See `RunFolder.remove`."""
        self._ensure_held()
        self._storage.remove(name)

    def remove_empty_folder(self, name: str = "") -> None:
        """See `RunFolder.remove_empty_folder`; most stores have no folders."""

    def _ensure_held(self) -> None:
        if self._lease is not None:
            self._lease.ensure_held()
