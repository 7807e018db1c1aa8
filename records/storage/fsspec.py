"""Folders at any URL that fsspec opens, with staged uploads.

`open(..., "wb")` of fsspec commits a file even if the block raises an error. So a file is staged
locally, and uploaded when it is complete. Without `mode="create"`, only the lease excludes other
writers, and two runs that start in the same instant may both acquire it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, BinaryIO, TypeVar, cast

import fsspec
import xxhash

from records.errors import ShardmillError, StorageError, UsageError
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.runtime.storage_patience import default_patience_seconds
from records.storage.base import FileInfo, FolderLock, RangeReader, StagedFile, require_identical
from records.storage.errors import DENIED_STATUS, HINT_RERUN, refused
from records.storage.names import LEASE, WORK_FOLDER
from records.storage.remote.conditional import (
    PreconditionFailedError,
    VersionedObject,
    compare_and_swap,
)
from records.storage.remote.lease import hold_lease
from records.storage.remote.patience import Patience, UnavailableError
from records.storage.remote.range_stream import SizedRangeReader, open_seekable
from records.storage.retry import FSSPEC_RETRY, RetryPolicy, retry
from records.storage.staging import staged_upload
from records.storage.urls import join_location, scheme_of
from records.text.escaping import escape_for_display
from records.text.urls import redact_location, redact_url

_T = TypeVar("_T")
_WITHOUT_FOLDERS = {"gcs", "abfs", "abfss", "oss"}
_PACKAGES = {  # what opens the URLs of a scheme
    **dict.fromkeys(("http", "https"), "pip install aiohttp requests"),
    "hf": "pip install huggingface_hub",
    "hdfs": "install the Hadoop client, and set HADOOP_HOME, JAVA_HOME and CLASSPATH",
    **dict.fromkeys(("sftp", "ssh"), "pip install paramiko"),
    **dict.fromkeys(("smb", "cifs"), "pip install smbprotocol"),
    "gcs": "use gs://BUCKET/FOLDER",
    **dict.fromkeys(("abfs", "abfss", "wasb"), "use az://CONTAINER/FOLDER"),
    "zip": "name the archive: zip://FOLDER::ARCHIVE.zip, or zip://::ARCHIVE.zip for all of it",
}
_HINT = "see the table of stores in the documentation for the URLs that shardmill opens"
_HINT_DENIED = "check the credentials and their permissions"
_TRY_LATER = {408, 429, *range(500, 600)}


class FsspecStorage:
    """A folder at any URL that fsspec reads and writes.

    Args:
        url: the URL of the folder.
        retry_policy: the retry policy of failures that may be permanent.
        patience_seconds: the time for which requests are repeated while the store does not answer;
            by default, that of this process.

    Raises:
        UsageError: no installed package opens this kind of URL.
    """

    is_local = False

    def __init__(
        self,
        url: str,
        retry_policy: RetryPolicy = FSSPEC_RETRY,
        patience_seconds: float | None = None,
    ) -> None:
        self.url = escape_for_display(redact_url(url)).rstrip("/")
        self._full_url = url
        seconds = default_patience_seconds() if patience_seconds is None else patience_seconds
        self._retry_policy = retry_policy if seconds else retry_policy._replace(attempts=1)
        self._patience = Patience(self.url, seconds)
        hint = _PACKAGES.get(scheme_of(url), _HINT)
        try:
            filesystem, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise UsageError(
                "this kind of URL needs a package that is not installed",
                path=self.url,
                got=str(error),
                hint=hint,
            ) from error
        except Exception as error:  # whatever the package of the store raises
            raise UsageError(
                "this URL cannot be opened", path=self.url, got=_first_line(error), hint=hint
            ) from error
        self._fs: Any = filesystem
        self._root: str = root.rstrip("/")

    def __reduce__(self) -> tuple[type[FsspecStorage], tuple[str, RetryPolicy, float]]:
        return (FsspecStorage, (self._full_url, self._retry_policy, self._patience.seconds))

    def display_name(self, name: str) -> str:
        """See `Storage.display_name`."""
        return join_location(self.url, escape_for_display(name))

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        return bytes(self._retry(name, lambda: self._fs.cat_file(self._path(name))))

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """See `Storage.read_range`."""
        path, end = self._path(name), offset + size_bytes
        return bytes(self._retry(name, lambda: self._fs.cat_file(path, start=offset, end=end)))

    def open_random_access(self, name: str) -> RangeReader:
        """See `Storage.open_random_access`; each read is one request."""
        return SizedRangeReader(partial(self.read_range, name))

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`."""
        info = self.stat(name)
        if info is None:
            path = self.display_name(name)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return open_seekable(partial(self.read_range, name), info.size_bytes)

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
            found = self._retry(folder, lambda: self._fs.find(self._path(folder), detail=True))
            if not found:  # `find` also returns nothing if a server (https) does not answer
                self._retry(folder, lambda: self._fs.ls(self._path(folder)))
        except FileNotFoundError:
            return
        has_sizes = all(info.get("size") is not None for info in found.values())
        threads = 0 if has_sizes else IO_THREADS  # a listing over HTTP has no sizes
        infos = parallel_map(self._with_size, found.items(), threads=threads)
        for path, info in zip(found, infos, strict=True):
            yield str(path)[len(self._root) :].removeprefix("/"), _file_info(info)

    @contextmanager
    def create(self, name: str) -> Iterator[StagedFile]:
        """See `Storage.create`."""
        with staged_upload() as staged:
            yield staged
            staged.flush()
            try:
                self._write(name, lambda: self._upload(staged.path, name))
            except FileExistsError:
                require_identical(self, name, staged.content())

    @contextmanager
    def overwrite(self, name: str) -> Iterator[StagedFile]:
        """See `Storage.overwrite`; as atomic as the uploads of the store."""
        with staged_upload() as staged:
            yield staged
            staged.flush()
            self._write(name, lambda: self._fs.put_file(staged.path, self._path(name)))

    def replace(self, name: str, data: bytes) -> None:
        """See `Storage.replace`."""
        self._write(name, lambda: self._fs.pipe_file(self._path(name), data))

    def compare_and_swap(self, name: str, old: bytes, new: bytes) -> None:
        """See `Storage.compare_and_swap`."""
        compare_and_swap(self, name, old, new)

    def fsync_folder(self, name: str) -> None:
        """See `Storage.fsync_folder`; an uploaded file is durable."""

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        if self.stat(name) is not None:
            self._retry(name, lambda: self._fs.rm_file(self._path(name)), writes=True)

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`; the lease remains until it is released."""
        path = self._path(name)
        self._fs.invalidate_cache()
        if self._retry(name, lambda: self._fs.exists(path)):
            entries = [path]
            if name == WORK_FOLDER:
                entries = self._retry(name, lambda: self._fs.ls(path, detail=False))
            for entry in entries:
                if not str(entry).endswith(LEASE):
                    self._retry(name, partial(self._fs.rm, entry, recursive=True), writes=True)

    def lock(self) -> AbstractContextManager[FolderLock]:
        """See `Storage.lock`."""
        return hold_lease(self)

    def put_if_absent(self, name: str, data: bytes) -> str:
        """See `ConditionalStore.put_if_absent`."""
        self._write(name, lambda: self._fs.pipe_file(self._path(name), data, mode="create"))
        return _tag(data)

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        """See `ConditionalStore.put_if_match`; the comparison and the write are separate steps."""
        current = self.get(name)
        if current is None or current.tag != tag:
            raise PreconditionFailedError(self.display_name(name))
        self.replace(name, data)
        return _tag(data)

    def get(self, name: str) -> VersionedObject | None:
        """See `ConditionalStore.get`; the tag is a hash of the content."""
        try:
            content = self.read(name)
        except FileNotFoundError:
            return None
        return VersionedObject(content, _tag(content), None)

    def delete_if_match(self, name: str, tag: str) -> None:
        """See `ConditionalStore.delete_if_match`."""
        current = self.get(name)
        if current is not None and current.tag == tag:
            self.remove(name)

    def _with_size(self, found: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        path, info = found
        if info.get("size") is not None:
            return info
        return self._retry(path, lambda: cast("dict[str, Any]", self._fs.info(path)))

    def _path(self, name: str) -> str:
        return join_location(self._root, name)

    def _upload(self, local: str, name: str) -> None:
        # Some file systems ignore `mode` (sftp, local): the lease excludes other writers.
        if self._fs.exists(self._path(name)):
            raise FileExistsError(self.display_name(name))
        self._fs.put_file(local, self._path(name), mode="create")

    def _write(self, name: str, action: Callable[[], object]) -> None:
        """Call an action that writes a file, in a folder that exists."""

        def write() -> None:
            # Object stores have no folders, and a request to create a folder may create a bucket.
            if scheme_of(self._full_url) not in _WITHOUT_FOLDERS:
                self._fs.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)
            action()

        self._retry(name, write, writes=True)

    def _retry(self, name: str, action: Callable[[], _T], *, writes: bool = False) -> _T:
        path = self.display_name(name)
        try:
            return self._patience.call(partial(self._attempt, action))
        except (FileNotFoundError, FileExistsError, ShardmillError):
            raise
        except NotADirectoryError as error:
            raise FileNotFoundError(path) from error
        except Exception as error:
            if _already_exists(error):
                raise FileExistsError(path) from error
            if _is_refused(error):
                status = _status(error)
                raise refused(path, status, writes=writes, access_hint=_HINT_DENIED) from error
            got = str(error) if isinstance(error, UnavailableError) else type(error).__name__
            raise StorageError(
                "storage failed after retries", path=path, got=got, hint=HINT_RERUN
            ) from error

    def _attempt(self, action: Callable[[], _T]) -> _T:
        try:
            attempt = partial(_reveal_failure, action)
            return retry(attempt, self._retry_policy, is_transient=_may_be_transient)
        except Exception as error:
            if _is_unavailable(error):
                raise UnavailableError(type(error).__name__) from error
            raise


def _reveal_failure(action: Callable[[], _T]) -> _T:
    """Return the result of `action`; raise the failure that HTTP reports as a missing file.

    The HTTP client of fsspec raises FileNotFoundError if a server does not answer, or refuses.
    """
    try:
        return action()
    except FileNotFoundError as error:
        cause = error.__cause__
        is_refusal = getattr(cause, "status", None) in DENIED_STATUS
        if isinstance(cause, Exception) and (is_refusal or _is_unavailable(cause)):
            raise cause from None
        raise


def _may_be_transient(error: Exception) -> bool:
    """Return whether to repeat a failure a few times: it may be permanent."""
    return not (
        isinstance(error, FileNotFoundError | NotADirectoryError | ShardmillError)
        or _already_exists(error)
        or _is_refused(error)
        or _is_unavailable(error)
    )


def _is_refused(error: Exception) -> bool:
    """Return whether the store refuses a request, and would refuse it again."""
    status = _status(error)
    is_client_error = status in range(400, 500) and status not in _TRY_LATER
    return isinstance(error, PermissionError) or is_client_error


def _is_unavailable(error: Exception) -> bool:
    """Return whether the store does not answer now, to its package's best knowledge."""
    is_network_error = isinstance(error, ConnectionError | TimeoutError) or any(
        kind.__name__ in {"ClientConnectionError", "ConnectionError", "Timeout", "NetworkError"}
        for kind in type(error).__mro__
    )
    return _status(error) in _TRY_LATER or is_network_error


def _status(error: Exception) -> int | None:
    """Return the HTTP status of an error of aiohttp, requests or httpx; None if it has none."""
    response = getattr(error, "response", None)
    status = getattr(error, "status", None) or getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _first_line(error: Exception) -> str:
    return redact_location((str(error).splitlines() or [type(error).__name__])[0])


def _already_exists(error: Exception) -> bool:
    return isinstance(error, FileExistsError) or getattr(error, "errno", None) == errno.EEXIST


def _file_info(info: dict[str, Any]) -> FileInfo:
    etag = info.get("ETag") or info.get("etag")
    return FileInfo(int(info["size"] or 0), str(etag) if etag else None)


def _tag(content: bytes) -> str:
    return str(xxhash.xxh3_128_hexdigest(content))
