"""`gs://`: requests to Google Cloud Storage, over its JSON API.

The tag of an object is its generation: the store compares it in every conditional request.
google-auth finds the credentials as in every Google tool; without credentials, requests are
anonymous.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

import google.auth
import urllib3
from google.auth import exceptions as auth_errors
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.urllib3 import AuthorizedHttp

from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.storage.base import FileInfo
from records.storage.errors import access_denied, refused
from records.storage.objects import client as limits
from records.storage.objects.client import (
    ABSENT,
    CONNECTIONS,
    BucketClient,
    ConditionFailedError,
    ListPage,
    RangeError,
    age_seconds,
    explain_no_response,
    missing_bucket,
)
from records.storage.remote.conditional import VersionedObject
from records.storage.remote.patience import UnavailableError

ONE_REQUEST_BYTES = 16 << 20
PART_BYTES = 16 << 20  # a multiple of 256 KiB, as the API demands
_ENDPOINT = "STORAGE_EMULATOR_HOST"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_INCOMPLETE = 308
_BOUNDARY = b"shardmill-7e0c9a4f51d24b0f9a6c"
_HINT_NO_CREDENTIALS = (
    "no credentials were found: run `gcloud auth application-default login`, or set"
    " GOOGLE_APPLICATION_CREDENTIALS"
)
_HINT_CREDENTIALS = "check the credentials and their permissions"
_HINT_CERTIFICATE = "set SSL_CERT_FILE to the file of the certificates that sign the server's"
_HINT_ADDRESS = f"check the network, and unset {_ENDPOINT} if you use Google's servers"


class GcsClient(BucketClient):
    """A bucket of Google Cloud Storage; see `ObjectClient`."""

    lists_from_key = True

    def head(self, key: str) -> FileInfo:
        """See `ObjectClient.head`."""
        found = self._json("GET", key, fields="size,generation")
        return FileInfo(int(found["size"]), found["generation"])

    def get(
        self, key: str, span: tuple[int, int] | None = None, tag: str | None = None
    ) -> VersionedObject:
        """See `ObjectClient.get`."""
        headers = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
        url = self._url(key, alt="media", ifGenerationMatch=tag)

        def request() -> VersionedObject:
            response = self._send_once("GET", url, key, headers=headers)
            found = response.headers
            generation = _require(found, "x-goog-generation")
            if tag is not None and generation != tag:  # an emulator may ignore the condition
                raise ConditionFailedError(generation)
            age = age_seconds(found.get("last-modified"), found.get("date"))
            return VersionedObject(response.data, generation, age)

        return self.send(key, request)

    def put(self, key: str, data: bytes, condition: str | None = None) -> str:
        """See `ObjectClient.put`."""
        generation = _generation(condition)
        url = self._url("", uploadType="multipart", ifGenerationMatch=generation)
        body = _multipart(_metadata(key), data)
        headers = {"Content-Type": f"multipart/related; boundary={_BOUNDARY.decode()}"}

        def request() -> str:
            response = self._send_once("POST", url, key, writes=True, body=body, headers=headers)
            return str(_require(_decode(response), "generation"))

        return self.send(key, request)

    def create(self, key: str, stream: BinaryIO, condition: str | None = ABSENT) -> None:
        """See `ObjectClient.create`; the condition holds when the last part arrives."""
        size_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if size_bytes <= ONE_REQUEST_BYTES:
            self.put(key, stream.read(), condition)
            return
        session = self.send(key, partial(self._begin_upload, key, size_bytes, condition))
        put = partial(self._send_once, "PUT", session, key, writes=True)
        sent_bytes = 0
        while sent_bytes < size_bytes:
            part = _Part(put, stream, size_bytes, sent_bytes)
            sent_bytes = self.send(key, part.send)

    def delete(self, key: str, tag: str | None = None) -> None:
        """See `ObjectClient.delete`."""
        url = self._url(key, ifGenerationMatch=tag)
        self.send(key, partial(self._send_once, "DELETE", url, key, writes=True))

    def delete_all(self, keys: Sequence[str]) -> None:
        """See `ObjectClient.delete_all`; the API removes one object per request."""
        for _ in parallel_map(self._delete_if_exists, keys, threads=IO_THREADS):
            pass

    def list_page(
        self, prefix: str, *, token: str | None = None, start: str = "", delimiter: str = ""
    ) -> ListPage:
        """See `ObjectClient.list_page`."""
        fields = "items(name,size,generation),prefixes,nextPageToken"
        options = {"prefix": prefix, "startOffset": start, "delimiter": delimiter}
        url = self._url("", pageToken=token, fields=fields, **options)

        def request() -> dict[str, Any]:
            return _decode(self._send_once("GET", url, ""))

        found = self.send("", request)
        files = [
            (each["name"], FileInfo(int(each["size"]), each["generation"]))
            for each in found.get("items", ())
            if not each["name"].endswith("/")
        ]
        return ListPage(files, found.get("prefixes", ()), found.get("nextPageToken") or None)

    def _delete_if_exists(self, key: str) -> None:
        with suppress(FileNotFoundError):
            self.delete(key)

    def _json(self, method: str, key: str, **query: str) -> dict[str, Any]:
        url = self._url(key, **query)
        return self.send(key, lambda: _decode(self._send_once(method, url, key)))

    def _begin_upload(self, key: str, size_bytes: int, condition: str | None) -> str:
        url = self._url("", uploadType="resumable", ifGenerationMatch=_generation(condition))
        headers = {"Content-Type": "application/json", "X-Upload-Content-Length": str(size_bytes)}
        response = self._send_once(
            "POST", url, key, writes=True, body=_metadata(key), headers=headers
        )
        return str(_require(response.headers, "location"))

    def _url(self, key: str, **query: str | None) -> str:
        upload = "/upload" if "uploadType" in query else ""
        path = f"{endpoint()}{upload}/storage/v1/b/{quote(self.bucket)}/o"
        given = {name: value for name, value in query.items() if value}
        return f"{path}{'/' if key else ''}{quote(key, safe='')}?{urlencode(given)}"

    def _send_once(
        self,
        method: str,
        url: str,
        key: str,
        *,
        writes: bool = False,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request once and return a complete, successful response."""
        path = self.path(key)
        try:
            response: urllib3.BaseHTTPResponse = connect().urlopen(
                *(method, url, body, {**(headers or {}), "Accept-Encoding": "identity"}),
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(limits.CONNECT_SECONDS, limits.READ_SECONDS),
            )
        except auth_errors.TransportError as error:
            raise UnavailableError(type(error).__name__, has_answered=False) from error
        except auth_errors.GoogleAuthError as error:
            # The server of the machine's identity may be away.
            if error.retryable or isinstance(error.__cause__, auth_errors.TransportError):
                raise UnavailableError(type(error).__name__, has_answered=False) from error
            raise access_denied(
                path,
                writes=writes,
                hint=_HINT_CREDENTIALS,
                got=type(error).__name__,
                what="the credentials cannot be used",
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise explain_no_response(
                error,
                path,
                writes=writes,
                certificate_hint=_HINT_CERTIFICATE,
                address_hint=_HINT_ADDRESS,
            ) from error
        if response.status >= 300 and response.status != _INCOMPLETE:
            is_object = bool(key) and method != "POST"  # a new object needs only the bucket
            raise self._explain(response, path, is_object=is_object, writes=writes)
        return response

    def _explain(
        self, response: urllib3.BaseHTTPResponse, path: str, *, is_object: bool, writes: bool
    ) -> Exception:
        status, code, text = response.status, *_read_error(response.data)
        if status >= 500 or status in {408, 429}:
            return UnavailableError(f"{status} {code}".rstrip())
        if status == 404 and (not is_object or "bucket does not exist" in text):
            return missing_bucket(self.url, writes=writes)
        by_status: dict[int, Exception] = {
            404: FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path),
            412: ConditionFailedError(code),
            416: RangeError(code),
        }
        is_anonymous = isinstance(connect().credentials, AnonymousCredentials)
        access_hint = _HINT_NO_CREDENTIALS if is_anonymous else _HINT_CREDENTIALS
        return by_status.get(status) or refused(
            path, status, code, writes=writes, access_hint=access_hint
        )


class _Part:
    """One part of an upload; a repeated request first asks the store what it has received."""

    def __init__(
        self,
        put: Callable[..., urllib3.BaseHTTPResponse],
        stream: BinaryIO,
        size_bytes: int,
        sent_bytes: int,
    ) -> None:
        self._put = put
        self._stream, self._size_bytes, self._sent_bytes = stream, size_bytes, sent_bytes
        self._is_repeated = False

    def send(self) -> int:
        """Send the part and return the number of bytes that the store has now."""
        size_bytes = self._size_bytes
        if self._is_repeated:
            answer = self._put(headers={"Content-Range": f"bytes */{size_bytes}"})
            self._sent_bytes = self._received(answer)
            if self._sent_bytes == size_bytes:
                return size_bytes
        self._is_repeated = True
        self._stream.seek(self._sent_bytes)
        body = self._stream.read(PART_BYTES)
        last = self._sent_bytes + len(body) - 1
        headers = {"Content-Range": f"bytes {self._sent_bytes}-{last}/{size_bytes}"}
        return self._received(self._put(body=body, headers=headers))

    def _received(self, response: urllib3.BaseHTTPResponse) -> int:
        if response.status != _INCOMPLETE:
            return self._size_bytes
        found = response.headers.get("range")  # `bytes=0-LAST`, or nothing if nothing has arrived
        return 0 if found is None else int(found.rpartition("-")[2]) + 1


def endpoint() -> str:
    """Return the URL of the server."""
    given = os.environ.get(_ENDPOINT, "").rstrip("/")
    if not given:
        return "https://storage.googleapis.com"
    return given if "://" in given else f"http://{given}"


def connect() -> AuthorizedHttp:
    """Return the connections of this process; any number of threads may use them."""
    # A forked process must not share the sockets of its parent.
    return _connect(os.getpid())


def disconnect() -> None:
    """Discard the connections; the next request looks up the credentials again."""
    _connect.cache_clear()


@cache
def _connect(_process_id: int) -> AuthorizedHttp:
    try:
        credentials = (
            AnonymousCredentials()
            if os.environ.get(_ENDPOINT)
            else google.auth.default(scopes=[_SCOPE])[0]
        )
    except auth_errors.DefaultCredentialsError:
        credentials = AnonymousCredentials()  # public buckets are read without credentials
    is_anonymous = isinstance(credentials, AnonymousCredentials)
    return AuthorizedHttp(
        credentials,
        http=urllib3.PoolManager(maxsize=CONNECTIONS),
        # Anonymous credentials cannot be renewed.
        refresh_status_codes=() if is_anonymous else (401,),
    )


def _generation(condition: str | None) -> str | None:
    if condition == ABSENT:
        return "0"
    # The store does not compare a generation that is not a number: it refuses the request.
    return condition if condition is None or condition.isdecimal() else "1"


def _metadata(key: str) -> bytes:
    # Otherwise, a public bucket serves an old version from its cache for an hour.
    return json.dumps({"name": key, "cacheControl": "no-store"}).encode()


def _multipart(metadata: bytes, data: bytes) -> bytes:
    begin, separator = b"--" + _BOUNDARY, b"\r\n\r\n"
    return b"".join(
        [
            *(begin, b"\r\nContent-Type: application/json", separator, metadata, b"\r\n"),
            *(begin, b"\r\nContent-Type: application/octet-stream", separator, data, b"\r\n"),
            *(begin, b"--"),
        ]
    )


def _decode(response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    try:
        return dict(json.loads(response.data))
    except ValueError as error:
        raise UnavailableError("an invalid response") from error


def _require(fields: Mapping[str, Any], name: str) -> Any:
    if name not in fields:
        raise UnavailableError(f"a response without {name}")
    return fields[name]


def _read_error(body: bytes) -> tuple[str, str]:
    """Return the reason and the text of an error response."""
    try:
        error = json.loads(body)["error"]
        reasons = [str(each.get("reason", "")) for each in error.get("errors", ())]
        return next(iter(reasons), ""), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", body[:200].decode(errors="replace")
