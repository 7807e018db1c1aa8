"""Folders at `s3://BUCKET/FOLDER`, with conditional writes.

One request reads a file, writes a file of up to 256 MiB, or lists up to a thousand files. A file is
created by a PUT that the store refuses if the name exists (`If-None-Match: *`), so only one of two
writers succeeds. The lease is renewed and taken over by a PUT that the store refuses if the lease
has changed since it was read (`If-Match`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, BinaryIO, cast

from records.errors import OutputError, StorageError, UsageError
from records.storage.base import FileInfo, FolderLock, RangeReader, StagedFile, require_identical
from records.storage.conditional import PreconditionFailedError, VersionedObject, compare_and_swap
from records.storage.errors import HINT_RERUN
from records.storage.lease import hold_lease
from records.storage.names import LEASE
from records.storage.range_stream import SizedRangeReader, open_seekable
from records.storage.retry import S3_RETRY, RetryPolicy
from records.storage.s3.bucket import Bucket
from records.storage.s3.errors import ConditionFailedError, RangeError
from records.storage.s3.listing import Page, list_pages
from records.storage.s3.upload import IF_ABSENT, upload
from records.storage.staging import staged_upload
from records.storage.urls import join_location
from records.text.escaping import escape_for_display

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class S3Storage:
    """A folder in a bucket; the first request opens the connection.

    Args:
        url: the URL of the folder, `s3://BUCKET/FOLDER`.
        retry_policy: the retry policy for truncated bodies and conflicts.

    Raises:
        UsageError: the URL is invalid.
    """

    is_local = False

    def __init__(self, url: str, retry_policy: RetryPolicy = S3_RETRY) -> None:
        bucket, self._root = split_url(url)
        self._bucket = Bucket(bucket, retry_policy)
        self.url = escape_for_display(url.rstrip("/"))

    def display_name(self, name: str) -> str:
        """See `Storage.display_name`."""
        return join_location(self.url, escape_for_display(name))

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        return cast("bytes", self._request("get_object", name)["Body"])

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """See `Storage.read_range`."""
        return self._read_range(name, {}, offset, size_bytes)

    def open_random_access(self, name: str) -> RangeReader:
        """See `Storage.open_random_access`; each read is one request."""
        return SizedRangeReader(partial(self.read_range, name))

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`; a read fails if the file was replaced after it was opened."""
        head = self._request("head_object", name)
        condition = {"IfMatch": head["ETag"]}
        return open_seekable(partial(self._read_range, name, condition), head["ContentLength"])

    def stat(self, name: str) -> FileInfo | None:
        """See `Storage.stat`."""
        try:
            head = self._request("head_object", name)
        except FileNotFoundError:
            return None
        return FileInfo(head["ContentLength"], head["ETag"])

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
                upload(self._bucket, self._key(name), staged.content(), self.display_name(name))
            except (ConditionFailedError, FileNotFoundError) as error:
                self._require_uploaded(name, staged.content(), error)

    def replace(self, name: str, data: bytes) -> None:
        """See `Storage.replace`."""
        self._request("put_object", name, Body=data)

    def compare_and_swap(self, name: str, old: bytes, new: bytes) -> None:
        """See `Storage.compare_and_swap`."""
        compare_and_swap(self, name, old, new)

    def fsync_folder(self, name: str) -> None:
        """See `Storage.fsync_folder`; an uploaded file is durable."""

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        with suppress(FileNotFoundError):
            self._request("delete_object", name)

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`; the lease remains until it is released."""
        for page in self._list_pages(name):
            keys = [{"Key": self._key(found)} for found, _ in page if found != LEASE]
            if keys:
                self._delete(keys, name)

    def lock(self) -> AbstractContextManager[FolderLock]:
        """See `Storage.lock`."""
        return hold_lease(self)

    def put_if_absent(self, name: str, data: bytes) -> str:
        """See `ConditionalStore.put_if_absent`."""
        try:
            return str(self._request("put_object", name, Body=data, **IF_ABSENT)["ETag"])
        except ConditionFailedError as error:
            raise FileExistsError(self.display_name(name)) from error

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        """See `ConditionalStore.put_if_match`."""
        try:
            return str(self._request("put_object", name, Body=data, IfMatch=tag)["ETag"])
        except (ConditionFailedError, FileNotFoundError) as error:
            raise PreconditionFailedError(self.display_name(name)) from error

    def get(self, name: str) -> VersionedObject | None:
        """See `ConditionalStore.get`; the age is measured only by the clock of the server."""
        try:
            response = self._request("get_object", name)
        except FileNotFoundError:
            return None
        sent = response["ResponseMetadata"]["HTTPHeaders"].get("date")
        age = None if sent is None else _seconds_between(response["LastModified"], sent)
        return VersionedObject(response["Body"], response["ETag"], age)

    def delete_if_match(self, name: str, tag: str) -> None:
        """See `ConditionalStore.delete_if_match`."""
        with suppress(ConditionFailedError, FileNotFoundError):
            self._request("delete_object", name, IfMatch=tag)

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}" if self._root else name

    def _request(self, operation: str, name: str, **parameters: Any) -> dict[str, Any]:
        path = self.display_name(name)
        return self._bucket.request(operation, path, Key=self._key(name), **parameters)

    def _read_range(
        self, name: str, condition: dict[str, str], offset: int, size_bytes: int
    ) -> bytes:
        if size_bytes <= 0:
            return b""
        wanted = {"Range": f"bytes={offset}-{offset + size_bytes - 1}", **condition}
        try:
            return cast("bytes", self._request("get_object", name, **wanted)["Body"])
        except RangeError:
            return b""
        except ConditionFailedError as error:
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

    def _list_pages(self, folder: str) -> Iterator[Page]:
        """Yield the files below a folder, one page per response."""
        root = f"{self._root}/" if self._root else ""
        request = partial(self._bucket.request, "list_objects_v2", self.display_name(folder))
        for page in list_pages(request, root + (f"{folder}/" if folder else "")):
            yield [(key[len(root) :], info) for key, info in page]

    def _delete(self, keys: Sequence[dict[str, str]], folder: str) -> None:
        wanted = {"Objects": keys, "Quiet": True}
        response = self._bucket.request("delete_objects", self.display_name(folder), Delete=wanted)
        for refused in response.get("Errors", ()):
            raise OutputError(
                "a file cannot be removed",
                path=f"s3://{self._bucket.name}/{escape_for_display(refused['Key'])}",
                got=refused.get("Code"),
            )


def split_url(url: str) -> tuple[str, str]:
    """Return the bucket and the folder of an `s3://` URL, without slashes around the folder.

    Raises:
        UsageError: the URL is invalid. The message omits the URL, which may contain a secret.
    """
    bucket, _, folder = url.removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            "invalid S3 URL",
            expected="s3://BUCKET/FOLDER",
            got="a URL with a user name or password" if "@" in url else "an invalid bucket name",
            hint="correct the URL; credentials are read from the environment and from ~/.aws",
        )
    return bucket, folder.strip("/")


def _seconds_between(earlier: datetime, later: str) -> float:
    return (parsedate_to_datetime(later) - earlier).total_seconds()
