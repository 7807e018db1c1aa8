"""The files of a source, listed and read: a local folder by paths of bytes, or a URL."""

from __future__ import annotations

import errno
import os
import stat
from typing import Protocol

from pipelines.sources.walk import (
    ListedFile,
    Listing,
    local_file,
    remote_file,
    walk_local,
    walk_remote,
)
from records.errors import InputNotFoundError, OutputError, StorageError, UsageError
from records.storage import local_path, open_remote, open_storage, split_location
from records.storage.retry import RetryPolicy, retry
from records.text.keys import key_to_text

HEAD_BYTES = 64
_STEP_BYTES = 64 << 20
RETRY = RetryPolicy(attempts=3, first_wait_seconds=0.5, factor=1)
"""For reads of local source files, which network file systems fail in passing."""
_TRANSIENT = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR, errno.EAGAIN}
_PROCESS_LIMITS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class SourceFiles(Protocol):
    """Files below one folder by their keys, which are raw bytes with `/` between their parts."""

    def walk(self, *, follow_symlinks: bool) -> Listing:
        """All that is there. Raises InputNotFoundError, StorageError."""

    def find(self, key: bytes, *, follow_symlinks: bool) -> ListedFile | None:
        """One file, None where there is none. Raises UsageError for a link out of the folder."""

    def read(self, key: bytes) -> bytes:
        """A whole file. Raises UnreadableError for one file, StorageError where all would fail."""

    def read_head(self, key: bytes) -> bytes:
        """The first 64 bytes of a file. Raises as `read`."""


class UnreadableError(Exception):
    """One file of the source cannot be read; the text says why."""


def open_source(location: str) -> SourceFiles:
    """The files below a local path or a URL."""
    path = local_path(location)
    return RemoteFiles(location) if path is None else LocalFiles(os.fsencode(path))


def open_file(url: str) -> tuple[SourceFiles, bytes]:
    """The folder of a file with a URL of its own, as a list may name it, and the file's key."""
    folder, name = split_location(local_path(url) or url)
    return open_source(folder), os.fsencode(name)


def read_file(files: SourceFiles, key: bytes, url: str | None) -> bytes:
    """A file by its key, or at its own URL. Raises UnreadableError."""
    if url is None:
        return files.read(key)
    folder, name = open_file(url)
    return folder.read(name)


class LocalFiles:
    """Files below a local folder."""

    def __init__(self, root: bytes) -> None:
        self._prefix = root.rstrip(b"/") + b"/"

    def walk(self, *, follow_symlinks: bool) -> Listing:
        """See `SourceFiles.walk`."""
        return walk_local(self._prefix, follow_symlinks=follow_symlinks)

    def find(self, key: bytes, *, follow_symlinks: bool) -> ListedFile | None:
        """See `SourceFiles.find`."""
        path = self._prefix + key
        root = os.path.realpath(self._prefix).rstrip(b"/") + b"/"
        if not follow_symlinks and not os.path.realpath(path).startswith(root):
            raise UsageError(
                "a listed file lies behind a link that leads out of the source",
                path=key_to_text(key),
                hint="pass --follow-symlinks to convert what it leads to",
            )
        try:
            status = os.stat(path)  # noqa: PTH116 - a path of bytes
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return local_file(key, status)

    def read(self, key: bytes) -> bytes:
        """See `SourceFiles.read`."""
        return self._read(key, None)

    def read_head(self, key: bytes) -> bytes:
        """See `SourceFiles.read_head`."""
        return self._read(key, HEAD_BYTES)

    def _read(self, key: bytes, size_bytes: int | None) -> bytes:
        path = self._prefix + key
        try:
            return retry(lambda: _read_local(path, size_bytes), RETRY, is_transient=_is_transient)
        except OSError as error:
            if error.errno not in _PROCESS_LIMITS:
                raise UnreadableError(os.strerror(error.errno or errno.EIO)) from error
            raise StorageError(
                "a source file cannot be read: this process has reached a limit",
                path=key_to_text(key),
                got=os.strerror(error.errno),
                hint="raise it (ulimit -n, memory), or use fewer --workers",
            ) from error


def _is_transient(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _TRANSIENT


def _read_local(path: bytes, size_bytes: int | None) -> bytes:
    """A file's beginning, or all of it: by descriptor, in half of the time of a stream."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if size_bytes is not None:
            return os.read(descriptor, size_bytes)
        whole_bytes = os.fstat(descriptor).st_size
        data = os.read(descriptor, whole_bytes + 1)
        if len(data) == whole_bytes:
            return data
        # It grew, or is longer than one call reads (2 GB).
        pieces = [data, *iter(lambda: os.read(descriptor, _STEP_BYTES), b"")]
        return b"".join(pieces)
    finally:
        os.close(descriptor)


class RemoteFiles:
    """Files below a URL. Storage that fails after retries is StorageError, not a bad file."""

    def __init__(self, url: str) -> None:
        self._storage = open_remote(url)

    def walk(self, *, follow_symlinks: bool) -> Listing:  # noqa: ARG002 - no links on object stores
        """See `SourceFiles.walk`."""
        return walk_remote(self._storage)

    def find(self, key: bytes, *, follow_symlinks: bool) -> ListedFile | None:  # noqa: ARG002
        """See `SourceFiles.find`."""
        facts = self._storage.stat(key.decode("utf-8", "surrogateescape"))
        return None if facts is None else remote_file(key, facts)

    def read(self, key: bytes) -> bytes:
        """See `SourceFiles.read`."""
        return self._read(key, None)

    def read_head(self, key: bytes) -> bytes:
        """See `SourceFiles.read_head`."""
        return self._read(key, HEAD_BYTES)

    def _read(self, key: bytes, size_bytes: int | None) -> bytes:
        name = key.decode("utf-8", "surrogateescape")
        try:
            if size_bytes is None:
                return self._storage.read(name)
            return self._storage.read_range(name, 0, size_bytes)
        except FileNotFoundError as error:
            raise UnreadableError("no such file") from error
        except OutputError as error:  # credentials that ran out must not turn images into rejects
            raise StorageError(error.what, path=error.path, hint=error.hint) from error


def read_text_file(path: str) -> bytes:
    """Return the content of a small file that an option names.

    Raises:
        InputNotFoundError: the file does not exist.
    """
    folder, name = split_location(path)
    try:
        return open_storage(folder).read(name)
    except FileNotFoundError as error:
        raise InputNotFoundError("there is no such file", path=path) from error
