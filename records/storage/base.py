"""Storage protocols, and functions that all storages share.

No file is written under its final name. `create` stages the bytes and publishes them only if no
file has the final name. So no file contains bytes of two writers, and a process that is killed at
any step leaves the complete file or no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

import xxhash

from records.errors import CorruptDataError, OutputError

COPY_STEP_BYTES = 1 << 20


class FileInfo(NamedTuple):
    """The size and the ETag of a file; `etag` is None if storage has no ETags (local files)."""

    size_bytes: int
    etag: str | None


class StagedFile(Protocol):
    """A file that is being written, invisible until it is complete."""

    def write(self, data: bytes, /) -> object:
        """Append `data`."""


class RangeReader(Protocol):
    """A file that any thread may read in parts; it is closed when this object is deleted."""

    def read(self, offset: int, size_bytes: int, /) -> bytes:
        """Return up to `size_bytes` bytes from `offset`. Raises StorageError."""

    def read_parts(self, offset: int, sizes_bytes: Sequence[int], /) -> list[bytes]:
        """Return adjacent parts of these sizes from `offset`, shorter if the file ends earlier."""


class FolderLock(Protocol):
    """The lock of a folder, held by one writer."""

    def ensure_held(self) -> None:
        """Check that this writer still holds the lock; on an object store, renew the lease.

        Raises:
            LockedError: another writer took over; the state that this writer has read is outdated.
            StorageError: storage failed after retries.
        """


@runtime_checkable
class Storage(Protocol):
    """One folder. File names are relative to the folder, with `/` between their parts."""

    url: str
    """The path or URL of the folder for messages, without credentials."""
    is_local: bool
    """Whether the folder is on this machine."""

    def display_name(self, name: str) -> str:
        """Return the path or URL of a file for messages."""

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: the file does not exist.
            CorruptDataError: it is not a regular file, or a link leads out of the folder.
            StorageError: storage failed after retries.
        """

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """Return up to `size_bytes` bytes from `offset`. Raises as `read`."""

    def open_random_access(self, name: str) -> RangeReader:
        """Open a file to read many parts. Opening or reading raises as `read`."""

    def open(self, name: str) -> BinaryIO:
        """Open a seekable stream at the beginning of a file. Raises as `read`."""

    def stat(self, name: str) -> FileInfo | None:
        """Return the size and ETag of a file; None if it does not exist or is a folder."""

    def list(self, folder: str = "") -> list[str]:
        """Return the sorted names of all files below a folder; a missing folder has no files."""

    def create(self, name: str) -> AbstractContextManager[StagedFile]:
        """Write a new file, which becomes visible when the block succeeds.

        An existing file with the same bytes is not an error: another worker was faster.

        Raises:
            OutputError: the folder cannot be written to, or the file exists and differs from the
                new file.
            StorageError: storage failed after retries.
        """

    def overwrite(self, name: str) -> AbstractContextManager[StagedFile]:
        """Create or replace a file of any size atomically, when the block succeeds.

        The caller holds the folder lock. Raises as `create`.
        """

    def replace(self, name: str, data: bytes) -> None:
        """Create or replace a small file atomically. Raises as `create`."""

    def compare_and_swap(self, name: str, old: bytes, new: bytes) -> None:
        """Replace a small file if its content is `old`; the caller holds the folder lock.

        Raises:
            LockedError: the content has changed.
            OutputError, StorageError: as `create`.
        """

    def fsync_folder(self, name: str) -> None:
        """Make all names in a folder durable, even of files that other processes created.

        Raises as `create`.
        """

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""

    def remove_folder(self, name: str) -> None:
        """Remove a folder with all files below it, if it exists."""

    def lock(self) -> AbstractContextManager[FolderLock]:
        """Lock the folder for one writer. Raises LockedError if another writer holds it."""


@runtime_checkable
class RemoteStorage(Storage, Protocol):
    """A folder at a URL, whose listing also reports sizes and ETags."""

    def list_info(self, folder: str = "") -> Iterator[tuple[str, FileInfo]]:
        """Yield the name, size and ETag of each file below a folder, in any order."""


def write_file(storage: Storage, name: str, data: bytes) -> None:
    """Create a small file from bytes in memory. Raises as `Storage.create`."""
    with storage.create(name) as staged:
        staged.write(data)


def split_parts(whole: bytes, sizes_bytes: Sequence[int]) -> list[bytes]:
    """Return adjacent parts of these sizes, shorter if `whole` ends earlier."""
    ends = list(accumulate(sizes_bytes))
    return [whole[end - size : end] for size, end in zip(sizes_bytes, ends, strict=True)]


def hash_stream(stream: BinaryIO) -> str:
    """Return the XXH3-128 hash of the rest of a stream as 32 hexadecimal digits."""
    digest = xxhash.xxh3_128()
    while block := stream.read(COPY_STEP_BYTES):
        digest.update(block)
    return str(digest.hexdigest())


def require_identical(storage: Storage, name: str, staged: BinaryIO) -> None:
    """Check that an existing file has the same bytes as a staged file.

    Raises:
        OutputError: the bytes differ.
    """
    try:
        with storage.open(name) as existing:
            is_identical = hash_stream(existing) == hash_stream(staged)
    except CorruptDataError:  # a folder, a pipe, or a link that leads out of the folder
        is_identical = False
    if not is_identical:
        raise OutputError(
            "the file already exists and differs from the new file",
            path=storage.display_name(name),
            hint="move the file, or choose a different output",
        )
