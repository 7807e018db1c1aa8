"""Folders in the buckets of object stores, with conditional writes.

One request reads a file, writes a small file, or lists up to a page of files. A file is created by
a write that the store refuses if the name exists, so only one of two writers succeeds. The lease is
renewed and taken over by a write that the store refuses if the lease has changed since it was read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import BinaryIO

from records.errors import StorageError
from records.storage.base import FileInfo, FolderLock, RangeReader, StagedFile, require_identical
from records.storage.errors import HINT_RERUN
from records.storage.names import LEASE
from records.storage.objects.client import (
    ABSENT,
    ConditionFailedError,
    ObjectClient,
    RangeError,
)
from records.storage.objects.listing import Files, list_files
from records.storage.remote.conditional import (
    PreconditionFailedError,
    ReadTags,
    VersionedObject,
    compare_and_swap,
)
from records.storage.remote.lease import hold_lease
from records.storage.remote.range_stream import SizedRangeReader, open_seekable
from records.storage.staging import staged_upload
from records.storage.urls import join_location
from records.text.escaping import escape_for_display


class ObjectStorage:
    """A folder in a bucket.

    Args:
        client: the client of the bucket.
        folder: the common beginning of all keys, without slashes around it; may be empty.
    """

    is_local = False

    def __init__(self, client: ObjectClient, folder: str) -> None:
        self.client = client
        self._root = folder
        self._tags = ReadTags()
        self.url = join_location(client.url, escape_for_display(folder))

    def display_name(self, name: str) -> str:
        """See `Storage.display_name`."""
        return join_location(self.url, escape_for_display(name))

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        found = self.client.get(self._key(name))
        self._tags.remember(name, found)
        return found.content

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """See `Storage.read_range`."""
        return self._read_range(name, None, offset, size_bytes)

    def open_random_access(self, name: str) -> RangeReader:
        """See `Storage.open_random_access`; each read is one request."""
        return SizedRangeReader(partial(self.read_range, name))

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`; a read fails if the file was replaced after it was opened."""
        found = self.client.head(self._key(name))
        return open_seekable(partial(self._read_range, name, found.etag), found.size_bytes)

    def stat(self, name: str) -> FileInfo | None:
        """See `Storage.stat`."""
        try:
            return self.client.head(self._key(name))
        except FileNotFoundError:
            return None

    def list(self, folder: str = "") -> list[str]:
        """See `Storage.list`."""
        return sorted(name for name, _ in self.list_info(folder))

    def list_info(self, folder: str = "") -> Iterator[tuple[str, FileInfo]]:
        """See `RemoteStorage.list_info`."""
        for page in self._list_pages(folder):
            yield from page

    @contextmanager
    def create(self, name: str) -> Iterator[StagedFile]:
        """See `Storage.create`."""
        with staged_upload() as staged:
            yield staged
            try:
                self.client.create(self._key(name), staged.content())
            except (ConditionFailedError, FileNotFoundError) as error:
                self._require_uploaded(name, staged.content(), error)

    @contextmanager
    def overwrite(self, name: str) -> Iterator[StagedFile]:
        """See `Storage.overwrite`."""
        with staged_upload() as staged:
            yield staged
            try:
                self.client.create(self._key(name), staged.content(), None)
            except FileNotFoundError as error:
                self._require_uploaded(name, staged.content(), error)

    def replace(self, name: str, data: bytes) -> None:
        """See `Storage.replace`."""
        try:
            self.client.put(self._key(name), data)
        except FileNotFoundError as error:
            self._require_uploaded(name, io.BytesIO(data), error)

    def compare_and_swap(self, name: str, old: bytes, new: bytes) -> None:
        """See `Storage.compare_and_swap`."""
        compare_and_swap(self, name, old, new, tag=self._tags.find(name, old))

    def fsync_folder(self, name: str) -> None:
        """See `Storage.fsync_folder`; an uploaded file is durable."""

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        with suppress(FileNotFoundError):
            self.client.delete(self._key(name))

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`; the lease remains until it is released."""
        for page in self._list_pages(name):
            keys = [self._key(found) for found, _ in page if found != LEASE]
            if keys:
                self.client.delete_all(keys)

    def lock(self) -> AbstractContextManager[FolderLock]:
        """See `Storage.lock`."""
        return hold_lease(self)

    def put_if_absent(self, name: str, data: bytes) -> str:
        """See `ConditionalStore.put_if_absent`."""
        try:
            return self.client.put(self._key(name), data, ABSENT)
        except ConditionFailedError as error:
            raise FileExistsError(self.display_name(name)) from error

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        """See `ConditionalStore.put_if_match`."""
        try:
            return self.client.put(self._key(name), data, tag)
        except (ConditionFailedError, FileNotFoundError) as error:
            raise PreconditionFailedError(self.display_name(name)) from error

    def get(self, name: str) -> VersionedObject | None:
        """See `ConditionalStore.get`; the age is measured only by the clock of the server."""
        try:
            return self.client.get(self._key(name))
        except FileNotFoundError:
            return None

    def delete_if_match(self, name: str, tag: str) -> None:
        """See `ConditionalStore.delete_if_match`."""
        with suppress(ConditionFailedError, FileNotFoundError):
            self.client.delete(self._key(name), tag)

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}" if self._root else name

    def _read_range(self, name: str, tag: str | None, offset: int, size_bytes: int) -> bytes:
        if size_bytes <= 0:
            return b""
        try:
            return self.client.get(self._key(name), (offset, offset + size_bytes), tag).content
        except (ConditionFailedError, RangeError) as error:
            if tag is None and isinstance(error, RangeError):
                return b""
            raise StorageError(
                "the file was replaced while it was read", path=self.display_name(name)
            ) from error

    def _require_uploaded(self, name: str, content: BinaryIO, error: Exception) -> None:
        """Accept a file with the staged bytes: the response to its upload may have been lost."""
        try:
            require_identical(self, name, content)
        except FileNotFoundError:
            raise StorageError(
                "the upload created no file", path=self.display_name(name), hint=HINT_RERUN
            ) from error

    def _list_pages(self, folder: str) -> Iterator[Files]:
        """Yield the files below a folder, one page per response."""
        root = f"{self._root}/" if self._root else ""
        for page in list_files(self.client, root + (f"{folder}/" if folder else "")):
            yield [(key[len(root) :], info) for key, info in page]
