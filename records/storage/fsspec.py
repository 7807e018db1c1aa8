"""A folder behind an fsspec URL: staged in a local temporary file, uploaded only if absent.

fsspec's own `open(..., "wb")` commits what was written also when the body raises, so nothing is
streamed to its final name: a file is uploaded once it is whole, with the store's own condition
where fsspec passes one on. Where it does not, the lease keeps others out, as far as looking before
writing does: of two runs that begin in the same instant both may think that they hold it.
"""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

import fsspec
import xxhash

from records.errors import OutputError, ShardmillError, StorageError, UsageError
from records.storage.base import FileInfo, FolderLock, RangeReader, StagedFile, require_identical
from records.storage.conditional import PreconditionFailedError, VersionedObject, compare_and_swap
from records.storage.errors import StagedStream, translate_write_errors
from records.storage.lease import hold_lease
from records.storage.names import LEASE, WORK_FOLDER
from records.storage.range_stream import SizedRangeReader, open_seekable
from records.text.escaping import escape_for_display, redact_url

_T = TypeVar("_T")
_ATTEMPTS = 5
_FIRST_WAIT_SECONDS = 0.5
_SPOOL_BYTES = 8 << 20
_HINT_INSTALL = 'for s3:// pip install "shardmill[s3]", for gs:// "shardmill[gcs]"'
_CHANCE = secrets.SystemRandom()
_WITHOUT_FOLDERS = {"gs", "gcs"}


class FsspecStorage:
    """A folder at any URL that fsspec reads and writes."""

    is_local = False

    def __init__(self, url: str) -> None:
        self.url = escape_for_display(redact_url(url)).rstrip("/")
        self._full_url = url
        try:
            filesystem, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise UsageError(
                "this kind of URL needs a package that is not installed",
                path=self.url,
                got=str(error),
                hint=_HINT_INSTALL,
            ) from error
        except ValueError as error:
            raise UsageError(
                "this kind of URL cannot be opened",
                path=self.url,
                got=str(error),
                hint=_HINT_INSTALL,
            ) from error
        self._fs: Any = filesystem
        self._root: str = root.rstrip("/")

    def __reduce__(self) -> tuple[type[FsspecStorage], tuple[str]]:
        return (FsspecStorage, (self._full_url,))

    def display_name(self, name: str) -> str:
        """See `Storage.display_name`."""
        return f"{self.url}/{escape_for_display(name)}"

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        return bytes(self._retry(name, lambda: self._fs.cat_file(self._path(name))))

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """See `Storage.read_range`."""
        path, end = self._path(name), offset + size_bytes
        return bytes(self._retry(name, lambda: self._fs.cat_file(path, start=offset, end=end)))

    def open_random_access(self, name: str) -> RangeReader:
        """See `Storage.open_random_access`: a request a part."""
        return SizedRangeReader(partial(self.read_range, name))

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`."""
        facts = self.stat(name)
        if facts is None:
            raise FileNotFoundError(
                errno.ENOENT, os.strerror(errno.ENOENT), self.display_name(name)
            )
        return open_seekable(partial(self.read_range, name), facts.size_bytes)

    def stat(self, name: str) -> FileInfo | None:
        """See `Storage.stat`."""
        try:
            info = self._retry(name, lambda: self._fs.info(self._path(name)))
        except FileNotFoundError:
            return None
        return None if info.get("type") == "directory" else _file_info(info)

    def list(self, folder: str = "") -> list[str]:
        """See `Storage.list`."""
        return sorted(name for name, _ in self.list_info(folder))

    def list_info(self, folder: str = "") -> Iterator[tuple[str, FileInfo]]:
        """See `RemoteStorage.list_info`."""
        self._fs.invalidate_cache()
        try:
            found = self._retry("", lambda: self._fs.find(self._path(folder), detail=True))
        except FileNotFoundError:
            return
        for path, info in found.items():
            yield str(path)[len(self._root) :].lstrip("/"), _file_info(info)

    @contextmanager
    def create(self, name: str) -> Iterator[StagedFile]:
        """See `Storage.create`."""
        with tempfile.NamedTemporaryFile(prefix="shardmill-", buffering=_SPOOL_BYTES) as staged:
            yield StagedStream(cast("BinaryIO", staged.file), staged.name)
            with translate_write_errors(staged.name):
                staged.flush()
            try:
                self._retry(name, lambda: self._upload(staged.name, name))
            except FileExistsError:
                staged.seek(0)
                require_identical(self, name, cast("BinaryIO", staged))

    def replace(self, name: str, data: bytes) -> None:
        """See `Storage.replace`."""
        self._make_folder(name)
        self._retry(name, lambda: self._fs.pipe_file(self._path(name), data))

    def compare_and_swap(self, name: str, old: bytes, new: bytes) -> None:
        """See `Storage.compare_and_swap`."""
        compare_and_swap(self, name, old, new)

    def fsync_folder(self, name: str) -> None:
        """See `Storage.fsync_folder`: what is uploaded is there."""

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        if self.stat(name) is not None:
            self._retry(name, lambda: self._fs.rm_file(self._path(name)))

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`; the lease stays until it is let go."""
        path = self._path(name)
        self._fs.invalidate_cache()
        if self._fs.exists(path):
            inside = [path] if name != WORK_FOLDER else self._fs.ls(path, detail=False)
            for found in inside:
                if not str(found).endswith(LEASE):
                    self._retry(name, partial(self._fs.rm, found, recursive=True))

    def lock(self) -> AbstractContextManager[FolderLock]:
        """See `Storage.lock`."""
        return hold_lease(self)

    def put_if_absent(self, name: str, data: bytes) -> str:
        """See `ConditionalStore.put_if_absent`."""
        self._make_folder(name)
        self._retry(name, lambda: self._fs.pipe_file(self._path(name), data, mode="create"))
        return _tag(data)

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        """See `ConditionalStore.put_if_match`: looked at, then written."""
        seen = self.get(name)
        if seen is None or seen.tag != tag:
            raise PreconditionFailedError(self.display_name(name))
        self.replace(name, data)
        return _tag(data)

    def get(self, name: str) -> VersionedObject | None:
        """See `ConditionalStore.get`."""
        try:
            content = self.read(name)
        except FileNotFoundError:
            return None
        return VersionedObject(content, _tag(content), None)

    def delete_if_match(self, name: str, tag: str) -> None:
        """See `ConditionalStore.delete_if_match`."""
        seen = self.get(name)
        if seen is not None and seen.tag == tag:
            self.remove(name)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _upload(self, local: str, name: str) -> None:
        # Some file systems take no notice of `mode` (sftp, local): the lease keeps others out.
        if self._fs.exists(self._path(name)):
            raise FileExistsError(self.display_name(name))
        self._make_folder(name)
        self._fs.put_file(local, self._path(name), mode="create")

    def _make_folder(self, name: str) -> None:
        # Where there are no folders (object stores), asking for one may make a bucket.
        if urlsplit(self._full_url).scheme not in _WITHOUT_FOLDERS:
            self._fs.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    def _retry(self, name: str, action: Callable[[], _T]) -> _T:
        for attempt in range(_ATTEMPTS):
            try:
                return action()
            except (FileNotFoundError, FileExistsError, ShardmillError):
                raise
            except NotADirectoryError as error:
                raise FileNotFoundError(self.display_name(name)) from error
            except PermissionError as error:
                raise OutputError(
                    "access is denied", path=self.display_name(name), hint="check the credentials"
                ) from error
            except Exception as error:
                if getattr(error, "errno", None) == errno.EEXIST:
                    raise FileExistsError(self.display_name(name)) from error
                if attempt == _ATTEMPTS - 1:
                    raise StorageError(
                        f"storage failed {_ATTEMPTS} times",
                        path=self.display_name(name),
                        got=type(error).__name__,
                        hint="run the same command again: what is finished is kept",
                    ) from error
            time.sleep(_CHANCE.uniform(0.5, 1.0) * _FIRST_WAIT_SECONDS * 2**attempt)
        raise AssertionError("unreachable")


def _file_info(info: dict[str, Any]) -> FileInfo:
    etag = info.get("ETag") or info.get("etag")
    return FileInfo(int(info["size"] or 0), str(etag) if etag else None)


def _tag(content: bytes) -> str:
    return str(xxhash.xxh3_128_hexdigest(content))
