"""The requests that an object store must answer, and their failures.

A client sends single requests to one bucket and repeats each while the store is unavailable. Only
`records.storage.objects.storage` uses clients: it makes files and folders of objects. The tag of an
object names its version: the ETag, or the generation on Google Cloud Storage.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

from records.errors import (
    InputNotFoundError,
    OutputError,
    RefusedReadError,
    ShardmillError,
    StorageError,
    UsageError,
)
from records.storage.base import FileInfo
from records.storage.errors import HINT_RERUN
from records.storage.remote.conditional import VersionedObject
from records.storage.remote.patience import Patience, UnavailableError
from records.text.escaping import escape_for_display

_T = TypeVar("_T")

ABSENT = "*"
"""The condition that no object with this key exists; any other condition is the tag to replace."""
CONNECT_SECONDS, READ_SECONDS = 5.0, 15.0
"""The timeouts of one attempt."""
CONNECTIONS = 64
_PERMANENT_HOST_ERRORS = {socket.EAI_NONAME}
_CUT_CONNECTIONS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


class ConditionFailedError(Exception):
    """The condition of a write or a read does not hold."""


class RangeError(Exception):
    """The range starts after the end of the object."""


class ListPage(NamedTuple):
    """A part of a listing, in the order of the keys.

    Attributes:
        files: the key, size and tag of each object, without objects that stand for folders.
        folders: the common prefixes of keys that contain the delimiter, if there is one.
        next_token: the token of the next page; None on the last page.
    """

    files: Sequence[tuple[str, FileInfo]]
    folders: Sequence[str]
    next_token: str | None


class ObjectClient(Protocol):
    """One bucket. Every method raises ShardmillError as `BucketClient.send`."""

    url: str
    """The URL of the bucket."""
    lists_from_key: bool
    """Whether `list_page` heeds `start` and `delimiter`."""

    def head(self, key: str) -> FileInfo:
        """Return the size and tag of an object. Raises FileNotFoundError."""

    def get(
        self, key: str, span: tuple[int, int] | None = None, tag: str | None = None
    ) -> VersionedObject:
        """Return the bytes from `span[0]` to before `span[1]`, or all.

        Raises:
            FileNotFoundError: the object does not exist.
            ConditionFailedError: its tag is not `tag`.
            RangeError: the range starts after its end.
        """

    def put(self, key: str, data: bytes, condition: str | None = None) -> str:
        """Write an object, and return its tag.

        Raises:
            ConditionFailedError: the condition, `ABSENT` or a tag, does not hold.
            FileNotFoundError: the object with this tag does not exist; for an upload, see `create`.
        """

    def create(self, key: str, stream: BinaryIO, condition: str | None = ABSENT) -> None:
        """Write an object from a seekable stream, with little memory.

        Args:
            key: the key of the object.
            stream: its content.
            condition: `ABSENT`, or None to replace an existing object.

        Raises:
            ConditionFailedError: the object exists.
            FileNotFoundError: the upload no longer exists: it was completed by a request whose
                response was lost, or another process ended it.
        """

    def delete(self, key: str, tag: str | None = None) -> None:
        """Remove an object, if it has this tag. Raises FileNotFoundError, ConditionFailedError."""

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove up to a page of objects; missing objects are ignored."""

    def list_page(
        self, prefix: str, *, token: str | None = None, start: str = "", delimiter: str = ""
    ) -> ListPage:
        """Return one page of the keys that begin with `prefix`.

        Args:
            prefix: the beginning of the keys.
            token: the `next_token` of the page before.
            start: list only keys from here on; the first may be `start` itself.
            delimiter: list only keys without it after the prefix, and the others as folders.
        """


class BucketClient:
    """Base of the clients: one bucket, and the patience of requests to it.

    Nothing is sent until the first request.

    Args:
        bucket: the name of the bucket or container.
        patience: the patience with the bucket; it knows the URL.
    """

    def __init__(self, bucket: str, patience: Patience) -> None:
        self.bucket = bucket
        self.url = patience.url
        self._patience = patience

    def path(self, key: str) -> str:
        """Return the URL of an object for messages."""
        return f"{self.url}/{escape_for_display(key)}" if key else self.url

    def send(self, key: str, request: Callable[[], _T]) -> _T:
        """Return the result of a request that is repeated while it raises UnavailableError.

        Raises:
            InputNotFoundError: the bucket to read from does not exist.
            OutputError: the bucket to write to does not exist, the store refuses the request, or
                has an invalid certificate.
            UsageError: the configuration, or the name of the bucket or object, is invalid.
            AccessDeniedError: there are no credentials, or they do not permit a read.
            RefusedReadError: the store refuses a read, for example because the region is wrong, or
                has an invalid certificate.
            StorageError: the store is unavailable.
        """
        try:
            return self._patience.call(request)
        except UnavailableError as error:
            how = "storage failed" if error.has_answered else "storage does not respond"
            raise StorageError(
                f"{how} after retries", path=self.path(key), got=str(error), hint=HINT_RERUN
            ) from error


def missing_bucket(url: str, *, writes: bool) -> ShardmillError:
    """Return the error for a bucket that does not exist."""
    return (OutputError if writes else InputNotFoundError)("the bucket does not exist", path=url)


def explain_no_response(
    error: Exception, path: str, *, writes: bool, certificate_hint: str, address_hint: str
) -> Exception:
    """Return the error for a request that got no response.

    Args:
        error: the error of the HTTP library.
        path: the URL of the object.
        writes: whether the request writes.
        certificate_hint: the hint if the certificate of the server is not trusted.
        address_hint: the hint if the name of the server is unknown.
    """
    reason = type(error).__name__
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _CUT_CONNECTIONS):
            got = getattr(cause, "verify_message", "") or cause.reason or reason
            kind: type[ShardmillError] = OutputError if writes else RefusedReadError
            what = "the TLS connection to the server failed"
            return kind(what, path=path, got=got, hint=certificate_hint)
        if isinstance(cause, socket.gaierror) and cause.errno in _PERMANENT_HOST_ERRORS:
            return UsageError("the name of the server is unknown", path=path, hint=address_hint)
    return UnavailableError(reason, has_answered=False)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = set[int]()
    pending: list[object] = [error]
    while pending:
        cause = pending.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            # urllib3 and azure-core keep the cause in an attribute.
            kept = [getattr(cause, name, None) for name in ("reason", "inner_exception")]
            pending += [cause.__cause__, cause.__context__, *kept, *cause.args]


def age_seconds(modified: str | None, sent: str | None) -> float | None:
    """Return the age of an object by the clock of the store: `Date` minus `Last-Modified`."""
    if not modified or not sent:
        return None
    return (parsedate_to_datetime(sent) - parsedate_to_datetime(modified)).total_seconds()
