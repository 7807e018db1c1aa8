"""Access to source files in a local folder or below a URL."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from typing import Protocol

from pipelines.sources.local_errors import is_transient, raise_process_limit
from pipelines.sources.walk import (
    ListedFile,
    Listing,
    local_file,
    remote_file,
    walk_local,
    walk_remote,
)
from records.errors import InputNotFoundError, UsageError
from records.images.large_file import LARGE_FILE_BYTES, check_large_file
from records.images.rejection import ImageRejectedError, Reason, Rejection
from records.storage import local_path, open_remote, read_named_file, split_location
from records.storage.retry import LOCAL_RETRY, retry
from records.storage.untrusted_file import UntrustedFolder, read_descriptor
from records.text.formatting import pluralize
from records.text.keys import key_to_text

HEAD_BYTES = 64


class SourceFiles(Protocol):
    """Files below one folder, by key: the path in raw bytes, separated by `/`."""

    def walk(self, *, follow_symlinks: bool) -> Listing:
        """List everything below the folder. Raises InputNotFoundError, StorageError."""

    def find(self, key: bytes, *, follow_symlinks: bool) -> ListedFile | None:
        """Return a file, or None if absent. Raises UsageError if a link leads out of the folder."""

    def read(self, key: bytes, size_bytes: int, *, linked: bool = True) -> bytes:
        """Return the content of a file.

        Args:
            key: the key of the file.
            size_bytes: the size of the file when it was listed.
            linked: whether a part of the path may be a symbolic link.

        Raises:
            UnreadableError: this file cannot be read, or is not what the listing found.
            StorageError: no file can be read: storage failed, or the process reached a limit.
        """

    def read_range(self, key: bytes, offset: int, size_bytes: int, *, linked: bool = True) -> bytes:
        """Return up to `size_bytes` bytes from `offset`. Raises the errors of `read`."""

    def read_head(self, key: bytes, *, linked: bool = True) -> bytes:
        """Return the first 64 bytes of a file. Raises the errors of `read`."""


class UnreadableError(Exception):
    """One file of the source is not read; the message is the reason."""

    def __init__(self, detail: str, reason: Reason = "unreadable") -> None:
        super().__init__(detail)
        self.rejection = Rejection(reason, detail)


def open_source(location: str, *, follow_symlinks: bool) -> SourceFiles:
    """Return an object that reads the files below a local path or a URL.

    Args:
        location: the path or URL.
        follow_symlinks: whether links that lead out of the source are followed.
    """
    path = local_path(location)
    if path is None:
        return RemoteFiles(location)
    return LocalFiles(os.fsencode(path), follow_symlinks=follow_symlinks)


def open_file(url: str) -> tuple[SourceFiles, bytes]:
    """Return an object that reads the folder of a file, and the key of the file in it."""
    folder, name = split_location(local_path(url) or url)
    return open_source(folder, follow_symlinks=True), os.fsencode(name)


def read_file(
    files: SourceFiles, key: bytes, url: str | None, size_bytes: int, *, linked: bool = True
) -> bytes:
    """Return the content of a file, by URL if given, otherwise by key.

    Args:
        files: the source.
        key: the key of the file.
        url: the URL of a file that is not stored below the source.
        size_bytes: the size of the file when it was listed; no more is read.
        linked: whether a part of the path of the key may be a symbolic link.

    Raises:
        UnreadableError: the file cannot be read, is not what the listing found, or is far larger
            than its image.
        StorageError: see `SourceFiles.read`.
    """
    if url is not None:
        (files, key), linked = open_file(url), True
    if size_bytes > LARGE_FILE_BYTES:
        try:
            check_large_file(partial(files.read_range, key, linked=linked), size_bytes)
        except ImageRejectedError as error:
            raise UnreadableError(error.rejection.detail, error.rejection.reason) from error
    return files.read(key, size_bytes, linked=linked)


def _require_size(data: bytes, size_bytes: int) -> bytes:
    if len(data) == size_bytes:
        return data
    now = f"more than {size_bytes:,}" if len(data) > size_bytes else f"{len(data):,}"
    then = pluralize(size_bytes, "byte")
    raise UnreadableError(f"it changed after it was listed: {then} then, {now} now")


class LocalFiles:
    """Files below a local folder."""

    def __init__(self, root: bytes, *, follow_symlinks: bool = False) -> None:
        self._prefix = root.rstrip(b"/") + b"/"
        self._folder = UntrustedFolder(self._prefix, follow_links=follow_symlinks)

    def walk(self, *, follow_symlinks: bool) -> Listing:
        """See `SourceFiles.walk`."""
        return walk_local(self._prefix, follow_symlinks=follow_symlinks)

    def find(self, key: bytes, *, follow_symlinks: bool) -> ListedFile | None:
        """See `SourceFiles.find`."""
        path = self._prefix + key
        root = os.path.realpath(self._prefix).rstrip(b"/") + b"/"
        if not follow_symlinks and not os.path.realpath(path).startswith(root):
            raise UsageError(
                "a symbolic link to a listed file leads out of the source",
                path=key_to_text(key),
                hint="pass --follow-symlinks to convert linked files",
            )
        try:
            status = os.stat(path)  # noqa: PTH116 - a path of bytes
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return local_file(key, status, linked=os.path.realpath(path) != root + key)

    def read(self, key: bytes, size_bytes: int, *, linked: bool = True) -> bytes:
        """See `SourceFiles.read`."""
        return _require_size(self.read_range(key, 0, size_bytes + 1, linked=linked), size_bytes)

    def read_head(self, key: bytes, *, linked: bool = True) -> bytes:
        """See `SourceFiles.read_head`."""
        return self.read_range(key, 0, HEAD_BYTES, linked=linked)

    def read_range(self, key: bytes, offset: int, size_bytes: int, *, linked: bool = True) -> bytes:
        """See `SourceFiles.read_range`."""
        read = partial(read_local_file, self._folder, key, size_bytes, offset, linked=linked)
        try:
            return retry(read, LOCAL_RETRY, is_transient=is_transient)
        except OSError as error:
            raise_process_limit(error, key_to_text(key))
            raise UnreadableError(error.strerror or os.strerror(errno.EIO)) from error


def read_local_file(
    folder: UntrustedFolder, key: bytes, size_bytes: int, offset: int = 0, *, linked: bool
) -> bytes:
    """Return up to `size_bytes` bytes of a file, from `offset`.

    This takes half the time of a Python file object.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
    """
    descriptor, present_bytes = folder.open_with_size(key, links=linked)
    try:
        # No allocation of the listed size before the file is known to have it.
        wanted = min(size_bytes, max(0, present_bytes + 1 - offset))
        data = os.pread(descriptor, wanted, offset)
        if len(data) < wanted - 1:  # one call reads at most 2 GB
            os.lseek(descriptor, offset + len(data), os.SEEK_SET)
            data += read_descriptor(descriptor, wanted - len(data))
        return data
    finally:
        os.close(descriptor)


class RemoteFiles:
    """Files below a URL. A storage failure after retries is a StorageError, not a reject."""

    def __init__(self, url: str) -> None:
        self._storage = open_remote(url)

    def walk(self, *, follow_symlinks: bool) -> Listing:  # noqa: ARG002 - no links on object stores
        """See `SourceFiles.walk`."""
        return walk_remote(self._storage)

    def find(self, key: bytes, *, follow_symlinks: bool) -> ListedFile | None:  # noqa: ARG002
        """See `SourceFiles.find`."""
        info = self._storage.stat(key.decode("utf-8", "surrogateescape"))
        return None if info is None else remote_file(key, info)

    def read(self, key: bytes, size_bytes: int, *, linked: bool = True) -> bytes:
        """See `SourceFiles.read`."""
        return _require_size(self.read_range(key, 0, size_bytes + 1, linked=linked), size_bytes)

    def read_head(self, key: bytes, *, linked: bool = True) -> bytes:
        """See `SourceFiles.read_head`."""
        return self.read_range(key, 0, HEAD_BYTES, linked=linked)

    def read_range(
        self,
        key: bytes,
        offset: int,
        size_bytes: int,
        *,
        linked: bool = True,  # noqa: ARG002 - no links on object stores
    ) -> bytes:
        """See `SourceFiles.read_range`."""
        name = key.decode("utf-8", "surrogateescape")
        try:
            return self._storage.read_range(name, offset, size_bytes)
        except FileNotFoundError as error:
            raise UnreadableError("no such file") from error


def read_text_file(path: str) -> bytes:
    """Return the content of a small file that an option names.

    Raises:
        InputNotFoundError: the file does not exist.
    """
    try:
        return read_named_file(path)
    except FileNotFoundError as error:
        raise InputNotFoundError("file not found", path=path) from error
