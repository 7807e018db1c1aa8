"""A folder behind an fsspec URL: staged in a local temporary file, uploaded only if absent.

fsspec's own `open(..., "wb")` commits what was written also when the body raises, so nothing is
streamed to its final name: a file is uploaded once it is whole, with the store's own condition
(`If-None-Match: *` on S3) where fsspec passes it on.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast

import fsspec

from records.errors import ShardmillError, StorageError, TargetError, UsageError
from records.lease import hold_lease
from records.storage import FileFacts, RangeReader, StagedFile, check_same_bytes
from records.storage_errors import StagedStream, writing
from records.text import printable, redact_url

_T = TypeVar("_T")
_READ_AHEAD_BYTES = 8 << 20
_ATTEMPTS = 5
_FIRST_WAIT_SECONDS = 0.5
_SPOOL_BYTES = 8 << 20


class FsspecStorage:
    """A folder at any URL that fsspec reads and writes."""

    is_local = False

    def __init__(self, url: str) -> None:
        self.url = printable(redact_url(url)).rstrip("/")
        self._full_url = url
        try:
            filesystem, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UsageError(
                "this kind of URL cannot be opened",
                path=self.url,
                got=str(error),
                hint='install what it needs, e.g. pip install "shardmill[s3]" or "shardmill[gcs]"',
            ) from error
        self._fs: Any = filesystem
        self._root: str = root.rstrip("/")

    def __reduce__(self) -> tuple[type[FsspecStorage], tuple[str]]:
        return (FsspecStorage, (self._full_url,))

    def describe(self, name: str) -> str:
        """See `Storage.describe`."""
        return f"{self.url}/{printable(name)}"

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        return bytes(self._retry(name, lambda: self._fs.cat_file(self._path(name))))

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """See `Storage.read_range`."""
        path, end = self._path(name), offset + size_bytes
        return bytes(self._retry(name, lambda: self._fs.cat_file(path, start=offset, end=end)))

    def open_ranges(self, name: str) -> RangeReader:
        """See `Storage.open_ranges`: a request a part."""
        return _Requests(self, name)

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`."""
        facts = self.facts(name)
        if facts is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.describe(name))
        ranges = _RangeStream(self, name, facts.size_bytes)
        return io.BufferedReader(ranges, _READ_AHEAD_BYTES)

    def facts(self, name: str) -> FileFacts | None:
        """See `Storage.facts`."""
        try:
            info = self._retry(name, lambda: self._fs.info(self._path(name)))
        except FileNotFoundError:
            return None
        return None if info.get("type") == "directory" else _file_facts(info)

    def list(self) -> list[str]:
        """See `Storage.list`."""
        return sorted(name for name, _ in self.list_facts())

    def list_facts(self) -> Iterator[tuple[str, FileFacts]]:
        """Every file below the folder, and what the store says of it, in any order."""
        self._fs.invalidate_cache()
        try:
            found = self._retry("", lambda: self._fs.find(self._root, detail=True))
        except FileNotFoundError:
            return
        for path, info in found.items():
            yield str(path)[len(self._root) :].lstrip("/"), _file_facts(info)

    @contextmanager
    def create(self, name: str) -> Iterator[StagedFile]:
        """See `Storage.create`."""
        with tempfile.NamedTemporaryFile(prefix="shardmill-", buffering=_SPOOL_BYTES) as staged:
            yield StagedStream(cast("BinaryIO", staged.file), staged.name)
            with writing(staged.name):
                staged.flush()
            try:
                self._retry(name, lambda: self._upload(staged.name, name))
            except FileExistsError:
                staged.seek(0)
                check_same_bytes(self, name, cast("BinaryIO", staged))

    def create_bytes(self, name: str, data: bytes) -> None:
        """Create a small object in one request. Raises FileExistsError where it is there."""
        self._make_folder(name)
        self._retry(name, lambda: self._fs.pipe_file(self._path(name), data, mode="create"))

    def replace(self, name: str, data: bytes) -> None:
        """See `Storage.replace`."""
        self._make_folder(name)
        self._retry(name, lambda: self._fs.pipe_file(self._path(name), data))

    def sync_folder(self, name: str) -> None:
        """See `Storage.sync_folder`: what is uploaded is there."""

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        if self.facts(name) is not None:
            self._retry(name, lambda: self._fs.rm_file(self._path(name)))

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`."""
        self._fs.invalidate_cache()
        if self._fs.exists(self._path(name)):
            self._retry(name, lambda: self._fs.rm(self._path(name), recursive=True))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See `Storage.lock`."""
        with hold_lease(self):
            yield

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _upload(self, local: str, name: str) -> None:
        # Some file systems take no notice of `mode` (sftp, local): the lease keeps others out.
        if self._fs.exists(self._path(name)):
            raise FileExistsError(self.describe(name))
        self._make_folder(name)
        self._fs.put_file(local, self._path(name), mode="create")

    def _make_folder(self, name: str) -> None:
        # Object stores have no folders; what has them (memory, sftp) needs them made.
        self._fs.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    def _retry(self, name: str, action: Callable[[], _T]) -> _T:
        for attempt in range(_ATTEMPTS):
            try:
                return action()
            except (FileNotFoundError, FileExistsError, ShardmillError):
                raise
            except NotADirectoryError as error:
                raise FileNotFoundError(self.describe(name)) from error
            except PermissionError as error:
                raise TargetError(
                    "access is denied", path=self.describe(name), hint="check the credentials"
                ) from error
            except Exception as error:
                if getattr(error, "errno", None) == errno.EEXIST or _is_taken(error):
                    raise FileExistsError(self.describe(name)) from error
                if attempt == _ATTEMPTS - 1:
                    raise StorageError(
                        f"storage failed {_ATTEMPTS} times",
                        path=self.describe(name),
                        got=type(error).__name__,
                        hint="run the same command again: what is finished is kept",
                    ) from error
            time.sleep(_FIRST_WAIT_SECONDS * 2**attempt)
        raise AssertionError("unreachable")


def _file_facts(info: dict[str, Any]) -> FileFacts:
    etag = info.get("ETag") or info.get("etag")
    return FileFacts(int(info["size"] or 0), str(etag) if etag else None)


def _is_taken(error: Exception) -> bool:
    """Whether a store refused a conditional write (HTTP 412) because the name is taken."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return code in {"PreconditionFailed", "412"} or "PreconditionFailed" in str(error)


class _Requests(NamedTuple):
    """A file of which parts are asked for."""

    storage: FsspecStorage
    name: str

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See `RangeReader.read`."""
        return self.storage.read_range(self.name, offset, size_bytes)


class _RangeStream(io.RawIOBase):
    """A file read by ranged requests, so that no state is shared between threads."""

    def __init__(self, storage: FsspecStorage, name: str, size_bytes: int) -> None:
        self._storage = storage
        self._name = name
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size_bytes - self._position)
        if wanted <= 0:
            return 0
        data = self._storage.read_range(self._name, self._position, wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
