"""The folder of a run, local or at a URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from records.storage import local_path, open_remote
from trainers.runs.local_folder import LocalRunFolder
from trainers.runs.remote_folder import RemoteRunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager

    from records.storage import FileInfo


class RunFolder(Protocol):
    """The files of a run, each of which is complete or absent.

    Methods that write raise OutputError or StorageError.
    """

    location: str
    """The path or URL of the folder for messages, without credentials."""

    def display_name(self, name: str) -> str:
        """Return the path or URL of a file for messages."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading. Raises as `Storage.open`."""

    def local_path(self, name: str) -> Path | None:
        """Return the path of a file; None if the folder is at a URL."""

    def stat(self, name: str) -> FileInfo | None:
        """Return the size of a file; None if it does not exist or is a folder."""

    def list(self, folder: str) -> Sequence[str]:
        """Return the sorted names of the files in a subfolder, which may be missing."""

    def is_vacant(self, *, ignored: Collection[str] = ()) -> bool:
        """Return whether the folder is absent, or contains only ignored files.

        Those of the system, and those of a killed creation, are always ignored.

        Raises:
            OutputError: the folder is a file, or cannot be listed.
        """

    def new(self, *, last: str) -> AbstractContextManager[Path]:
        """Yield an empty local folder, whose files appear in this folder, which is vacant.

        They appear when the block succeeds: in one step if the storage can, otherwise one by one,
        `last` at the end.
        """

    def lock(self, create: Callable[[], object]) -> AbstractContextManager[None]:
        """Lock the folder in the block, and call `create`, which creates a missing run.

        Raises:
            LockedError: another process holds the lock, or has taken over the lease.
        """

    def remove_leftovers(self, *folders: str) -> None:
        """Remove what killed processes have left in these subfolders; the caller holds the lock."""

    def write(self, name: str, content: bytes | BinaryIO) -> None:
        """Create or replace a file atomically, also with the rest of an open file.

        Raises:
            LockedError: the lease is lost.
        """

    def swap(self, name: str, old: bytes, new: bytes) -> None:
        """Replace a file whose content is `old`; see `write`."""

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""

    def remove_empty_folder(self, name: str = "") -> None:
        """Remove a subfolder, or the folder itself, if it is empty."""


def open_run_folder(location: str | os.PathLike[str]) -> RunFolder:
    """Open the folder at a path or URL, without reading or creating files. Raises UsageError."""
    text = os.fspath(location)
    path = local_path(text)
    return RemoteRunFolder(open_remote(text)) if path is None else LocalRunFolder(Path(path))
