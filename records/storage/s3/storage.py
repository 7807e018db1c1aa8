"""A folder at `s3://bucket/folder`: one request a read, a write, or a listing of a thousand.

A file is created by a PUT that the store refuses where the name is taken (`If-None-Match: *`), so
of two writers one is first, whoever they are. The lease is renewed, and taken over, by a PUT that
the store refuses where anybody wrote it since it was looked at (`If-Match`).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, BinaryIO, cast

from records.errors import OutputError, StorageError, UsageError
from records.storage.base import FileInfo, FolderLock, RangeReader, StagedFile, require_identical
from records.storage.conditional import PreconditionFailedError, VersionedObject, compare_and_swap
from records.storage.errors import StagedStream, translate_write_errors
from records.storage.lease import hold_lease
from records.storage.names import LEASE
from records.storage.range_stream import SizedRangeReader, open_seekable
from records.storage.s3.bucket import Bucket
from records.storage.s3.errors import ConditionFailedError, RangeError
from records.storage.s3.listing import Page, list_pages
from records.storage.s3.upload import IF_ABSENT, upload
from records.text.escaping import escape_for_display

_SPOOL_BYTES = 8 << 20
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class S3Storage:
    """A folder in a bucket; nothing is asked of the server before it is used.

    Raises:
        UsageError: the URL is not `s3://BUCKET/FOLDER`.
    """

    is_local = False

    def __init__(self, url: str) -> None:
        bucket, self._root = split_url(url)
        self._bucket = Bucket(bucket)
        self.url = escape_for_display(url.rstrip("/"))

    def display_name(self, name: str) -> str:
        """See `Storage.display_name`."""
        return f"{self.url}/{escape_for_display(name)}" if name else self.url

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        return cast("bytes", self._ask("get_object", name)["Body"])

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """See `Storage.read_range`."""
        return self._read_range(name, {}, offset, size_bytes)

    def open_random_access(self, name: str) -> RangeReader:
        """See `Storage.open_random_access`: a request a part."""
        return SizedRangeReader(partial(self.read_range, name))

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`: all parts are of the version that is there now."""
        head = self._ask("head_object", name)
        same = {"IfMatch": head["ETag"]}
        return open_seekable(partial(self._read_range, name, same), head["ContentLength"])

    def stat(self, name: str) -> FileInfo | None:
        """See `Storage.stat`."""
        try:
            head = self._ask("head_object", name)
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
        with tempfile.NamedTemporaryFile(prefix="shardmill-", buffering=_SPOOL_BYTES) as staged:
            stream = cast("BinaryIO", staged.file)
            yield StagedStream(stream, staged.name)
            with translate_write_errors(staged.name):
                staged.flush()
            try:
                upload(self._bucket, self._key(name), stream, self.display_name(name))
            except (ConditionFailedError, FileNotFoundError) as error:
                self._check_there(name, stream, error)

    def replace(self, name: str, data: bytes) -> None:
        """See `Storage.replace`."""
        self._ask("put_object", name, Body=data)

    def compare_and_swap(self, name: str, old: bytes, new: bytes) -> None:
        """See `Storage.compare_and_swap`."""
        compare_and_swap(self, name, old, new)

    def fsync_folder(self, name: str) -> None:
        """See `Storage.fsync_folder`: what is uploaded is there."""

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        with suppress(FileNotFoundError):
            self._ask("delete_object", name)

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`; the lease stays until it is let go."""
        for page in self._list_pages(name):
            keys = [{"Key": self._key(found)} for found, _ in page if found != LEASE]
            if keys:
                self._remove_all(keys, name)

    def lock(self) -> AbstractContextManager[FolderLock]:
        """See `Storage.lock`."""
        return hold_lease(self)

    def put_if_absent(self, name: str, data: bytes) -> str:
        """See `ConditionalStore.put_if_absent`."""
        try:
            return str(self._ask("put_object", name, Body=data, **IF_ABSENT)["ETag"])
        except ConditionFailedError as error:
            raise FileExistsError(self.display_name(name)) from error

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        """See `ConditionalStore.put_if_match`."""
        try:
            return str(self._ask("put_object", name, Body=data, IfMatch=tag)["ETag"])
        except (ConditionFailedError, FileNotFoundError) as error:
            raise PreconditionFailedError(self.display_name(name)) from error

    def get(self, name: str) -> VersionedObject | None:
        """See `ConditionalStore.get`: its age is told by the server's clock alone."""
        try:
            answer = self._ask("get_object", name)
        except FileNotFoundError:
            return None
        sent = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        age = None if sent is None else _seconds_between(answer["LastModified"], sent)
        return VersionedObject(answer["Body"], answer["ETag"], age)

    def delete_if_match(self, name: str, tag: str) -> None:
        """See `ConditionalStore.delete_if_match`."""
        with suppress(ConditionFailedError, FileNotFoundError):
            self._ask("delete_object", name, IfMatch=tag)

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}" if self._root else name

    def _ask(self, operation: str, name: str, **asked: Any) -> dict[str, Any]:
        return self._bucket.ask(operation, self.display_name(name), Key=self._key(name), **asked)

    def _read_range(
        self, name: str, condition: dict[str, str], offset: int, size_bytes: int
    ) -> bytes:
        if size_bytes <= 0:
            return b""
        wanted = f"bytes={offset}-{offset + size_bytes - 1}"
        try:
            return cast("bytes", self._ask("get_object", name, Range=wanted, **condition)["Body"])
        except RangeError:
            return b""
        except ConditionFailedError as error:
            raise StorageError(
                "the file was replaced while it was read", path=self.display_name(name)
            ) from error

    def _check_there(self, name: str, stream: BinaryIO, error: Exception) -> None:
        """Accept a name that is taken by the bytes staged: the answer to our PUT may be lost."""
        stream.seek(0)
        try:
            require_identical(self, name, stream)
        except FileNotFoundError:
            raise StorageError(
                "an upload was lost",
                path=self.display_name(name),
                hint="run the same command again: what is finished is kept",
            ) from error

    def _list_pages(self, folder: str) -> Iterator[Page]:
        """The files below a folder, as many at a time as an answer has."""
        below = f"{self._root}/" if self._root else ""
        ask = partial(self._bucket.ask, "list_objects_v2", self.display_name(folder))
        for page in list_pages(ask, below + (f"{folder}/" if folder else "")):
            yield [(key[len(below) :], facts) for key, facts in page]

    def _remove_all(self, keys: Sequence[dict[str, str]], folder: str) -> None:
        wanted = {"Objects": keys, "Quiet": True}
        answer = self._bucket.ask("delete_objects", self.display_name(folder), Delete=wanted)
        for refused in answer.get("Errors", ()):
            raise OutputError(
                "a file cannot be removed",
                path=f"s3://{self._bucket.name}/{escape_for_display(refused['Key'])}",
                got=refused.get("Code"),
            )


def split_url(url: str) -> tuple[str, str]:
    """The bucket and the folder, without slashes around it, of an `s3://` URL. Raises UsageError.

    What is refused is not shown: it may hold a secret.
    """
    bucket, _, folder = url.removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            "this is no URL of S3",
            expected="s3://BUCKET/FOLDER",
            got="user names or passwords in it" if "@" in url else "no such bucket's name",
            hint="credentials are found in the environment or in ~/.aws",
        )
    return bucket, folder.strip("/")


def _seconds_between(earlier: datetime, later: str) -> float:
    return (parsedate_to_datetime(later) - earlier).total_seconds()
