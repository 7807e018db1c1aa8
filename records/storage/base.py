"""A folder on storage: local or any fsspec URL; a file in it is there whole or not at all.

Nothing is ever written under its final name. `create` stages the bytes elsewhere and publishes them
only where nothing of that name is there yet, so two writers of the same file cannot mix, and a kill
between any two steps leaves either the whole file or none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

import xxhash

from records.errors import OutputError

COPY_STEP_BYTES = 1 << 20


class FileInfo(NamedTuple):
    """What storage says of a file; `etag` is None where storage keeps none (local files)."""

    size_bytes: int
    etag: str | None


class StagedFile(Protocol):
    """A file being written, invisible until it is whole."""

    def write(self, data: bytes, /) -> object:
        """Append `data`."""


class RangeReader(Protocol):
    """A file of which parts are read, from any thread; it closes with its last user."""

    def read(self, offset: int, size_bytes: int, /) -> bytes:
        """Up to `size_bytes` bytes from `offset`. Raises StorageError."""

    def read_parts(self, offset: int, sizes_bytes: Sequence[int], /) -> list[bytes]:
        """As `read`, in neighbouring parts of these sizes; at the file's end parts are shorter."""


class FolderLock(Protocol):
    """A folder that is held for one writer."""

    def ensure_held(self) -> None:
        """Make sure that nobody took it over, on an object store for a minute from now.

        Raises:
            LockedError: somebody did: what this writer knows of the folder is true no more.
            StorageError: storage failed after retries.
        """


@runtime_checkable
class Storage(Protocol):
    """One folder. Names in it are relative, `/` between their parts."""

    url: str
    """What to call the folder in messages: no credentials in it."""
    is_local: bool

    def display_name(self, name: str) -> str:
        """The path or URL of a file, to show to people."""

    def read(self, name: str) -> bytes:
        """A whole file. Raises FileNotFoundError, or StorageError."""

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """Up to `size_bytes` bytes from `offset`. Raises as `read`."""

    def open_random_access(self, name: str) -> RangeReader:
        """A file of which many parts are read. It, or reading, raises as `read`."""

    def open(self, name: str) -> BinaryIO:
        """A file to read from its beginning, seekable. Raises as `read`."""

    def stat(self, name: str) -> FileInfo | None:
        """Size and ETag, None where there is no such file; a folder is none."""

    def list(self, folder: str = "") -> list[str]:
        """The names of all files below it, or a folder in it, sorted; empty where it is not."""

    def create(self, name: str) -> AbstractContextManager[StagedFile]:
        """Write a file that is not there yet; it appears whole when the block ends well.

        A file of that name with the same bytes is success: another worker was faster.

        Raises:
            OutputError: the folder cannot be written, or the name is taken by other bytes.
            StorageError: storage failed after retries.
        """

    def replace(self, name: str, data: bytes) -> None:
        """Write a small file, whole, over what may be there. Raises as `create`."""

    def compare_and_swap(self, name: str, old: bytes, new: bytes) -> None:
        """Replace a small file, whole, that holds `old`, in a folder that is held.

        Raises:
            LockedError: it holds something else by now.
            OutputError, StorageError: as `create`.
        """

    def fsync_folder(self, name: str) -> None:
        """Make the names in a folder last, whoever gave them. Raises as `create`."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    def remove_folder(self, name: str) -> None:
        """Remove a folder with all that is in it; one that is not there is no error."""

    def lock(self) -> AbstractContextManager[FolderLock]:
        """Hold the folder for one writer. Raises LockedError where another one holds it."""


@runtime_checkable
class RemoteStorage(Storage, Protocol):
    """A folder behind a URL, of which a listing tells more than names."""

    def list_info(self, folder: str = "") -> Iterator[tuple[str, FileInfo]]:
        """Every file below it, or a folder in it, and what the store says of it, in any order."""


def is_url(location: str) -> bool:
    """Whether `location` is a URL rather than a path."""
    scheme, separator, _ = location.partition("://")
    return bool(separator) and scheme.replace("+", "").replace("-", "").isalnum()


def absolute_location(location: str) -> str:
    """A location as it is told to other processes, which may work in another folder."""
    return location if is_url(location) else os.path.realpath(location)


def split_location(location: str) -> tuple[str, str]:
    """The folder and the file name of a path or URL, for `open_storage` and then a read in it."""
    folder, separator, name = location.rpartition("/")
    if not separator:
        return ".", location
    return folder or "/", name


def write_file(storage: Storage, name: str, data: bytes) -> None:
    """Create a small file from bytes at hand. Raises as `Storage.create`."""
    with storage.create(name) as staged:
        staged.write(data)


def hash_stream(stream: BinaryIO) -> str:
    """The xxh3-128 of all that is left in a stream, 32 hexadecimal digits."""
    digest = xxhash.xxh3_128()
    while block := stream.read(COPY_STEP_BYTES):
        digest.update(block)
    return str(digest.hexdigest())


def require_identical(storage: Storage, name: str, staged: BinaryIO) -> None:
    """Accept a name that is taken where the bytes are the ones staged.

    Raises:
        OutputError: other bytes are there.
    """
    with storage.open(name) as present:
        same = hash_stream(present) == hash_stream(staged)
    if not same:
        raise OutputError(
            "a file of this name is there already and holds something else",
            path=storage.display_name(name),
            hint="move it away, or choose another target",
        )
