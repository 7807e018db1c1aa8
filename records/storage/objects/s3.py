"""`s3://`: requests to Amazon S3 and compatible stores, over botocore.

Like every AWS tool, botocore finds the server and the credentials in the environment, in `~/.aws`,
or in the role of the machine. shardmill does not handle credentials, so they cannot enter a plan, a
log or a report.

If a response is cut in its headers, botocore accepts it as complete, with no fields or body: as an
empty listing or an empty file. So this module checks that each response has its required fields.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from typing import Any, BinaryIO, cast

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import FlexibleChecksumError, HTTPClientError, IncompleteReadError
from botocore.utils import parse_timestamp

from records.errors import OutputError, ShardmillError, StorageError
from records.storage.base import FileInfo
from records.storage.objects import client as limits
from records.storage.objects.client import (
    ABSENT,
    CONNECTIONS,
    BucketClient,
    ListPage,
    RangeError,
    age_seconds,
)
from records.storage.objects.s3_errors import invalid_address, is_unexplained, translate_errors
from records.storage.remote.conditional import VersionedObject
from records.storage.remote.patience import UnavailableError

ONE_REQUEST_BYTES = 256 << 20
PART_BYTES = 64 << 20
_MOST_PARTS = 10_000
_REQUIRED_FIELDS: Mapping[str, tuple[str, ...]] = {
    "head_object": ("ContentLength", "ETag"),
    "get_object": ("ContentLength", "ETag", "LastModified"),
    "list_objects_v2": ("IsTruncated",),
    "put_object": ("ETag",),
    "create_multipart_upload": ("UploadId",),
    "upload_part": ("ETag",),
    "complete_multipart_upload": ("ETag",),
}
_READS = {"head_object", "get_object", "list_objects_v2"}
_connecting = threading.Lock()


class S3Client(BucketClient):
    """A bucket of Amazon S3 or a compatible store; see `ObjectClient`."""

    lists_from_key = True

    def head(self, key: str) -> FileInfo:
        """See `ObjectClient.head`."""
        try:
            found = self.request("head_object", key)
        except StorageError as error:
            if is_unexplained(error):
                # The response to a GET has a body, with the reason: an expired token, for example.
                with suppress(RangeError):
                    self.get(key, (0, 1))
            raise
        return FileInfo(found["ContentLength"], found["ETag"])

    def get(
        self, key: str, span: tuple[int, int] | None = None, tag: str | None = None
    ) -> VersionedObject:
        """See `ObjectClient.get`."""
        wanted = {} if tag is None else {"IfMatch": tag}
        if span is not None:
            wanted["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        found = self.request("get_object", key, **wanted)
        headers = found["ResponseMetadata"]["HTTPHeaders"]
        age = age_seconds(headers.get("last-modified"), headers.get("date"))
        return VersionedObject(found["Body"], found["ETag"], age)

    def put(self, key: str, data: bytes, condition: str | None = None) -> str:
        """See `ObjectClient.put`."""
        conditions = {ABSENT: {"IfNoneMatch": "*"}, None: {}}
        wanted = conditions.get(condition, {"IfMatch": condition})
        if len(data) > ONE_REQUEST_BYTES:
            return self._put_parts(key, io.BytesIO(data), len(data), wanted)
        return str(self.request("put_object", key, Body=data, **wanted)["ETag"])

    def create(self, key: str, stream: BinaryIO, condition: str | None = ABSENT) -> None:
        """See `ObjectClient.create`."""
        size_bytes = stream.seek(0, os.SEEK_END)
        wanted = {} if condition is None else {"IfNoneMatch": condition}
        if size_bytes > ONE_REQUEST_BYTES:
            self._put_parts(key, stream, size_bytes, wanted)
        else:
            self.request("put_object", key, Body=stream, **wanted)

    def _put_parts(
        self, key: str, stream: BinaryIO, size_bytes: int, condition: Mapping[str, Any]
    ) -> str:
        """Write an object in parts, invisible until the last request, and return its tag."""
        upload = {"UploadId": self.request("create_multipart_upload", key)["UploadId"]}
        try:
            parts = list(self._upload_parts(key, upload, stream, size_bytes))
            whole = {"MultipartUpload": {"Parts": parts}, **condition}
            written = self.request("complete_multipart_upload", key, **upload, **whole)
            return str(written["ETag"])
        except BaseException:
            # The parts of a killed process remain until a lifecycle rule of the bucket ends them.
            with suppress(ShardmillError, FileNotFoundError):
                self.request("abort_multipart_upload", key, **upload)
            raise

    def delete(self, key: str, tag: str | None = None) -> None:
        """See `ObjectClient.delete`."""
        self.request("delete_object", key, **({} if tag is None else {"IfMatch": tag}))

    def delete_all(self, keys: Sequence[str]) -> None:
        """See `ObjectClient.delete_all`."""
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        for error in self.request("delete_objects", "", Delete=wanted).get("Errors", ()):
            raise OutputError(
                "a file cannot be removed",
                path=self.path(error["Key"]),
                got=error.get("Code"),
            )

    def list_page(
        self, prefix: str, *, token: str | None = None, start: str = "", delimiter: str = ""
    ) -> ListPage:
        """See `ObjectClient.list_page`."""
        options = {"ContinuationToken": token, "StartAfter": start, "Delimiter": delimiter}
        given = {name: value for name, value in options.items() if value}
        found = self.request("list_objects_v2", "", Prefix=prefix, **given)
        # A key that ends in a slash stands for a folder: consoles create them.
        files = [
            (each["Key"], FileInfo(each["Size"], each["ETag"]))
            for each in found.get("Contents", ())
            if not each["Key"].endswith("/")
        ]
        folders = [each["Prefix"] for each in found.get("CommonPrefixes", ())]
        return ListPage(files, folders, found.get("NextContinuationToken"))

    def request(self, operation: str, key: str, **parameters: Any) -> dict[str, Any]:
        """Send a request and return the response with its complete body.

        Args:
            operation: a method of the botocore client.
            key: the key of the object; empty for the bucket.
            **parameters: the parameters of the operation, without the bucket and the key.

        Raises the errors of `ObjectClient`.
        """
        if key:
            parameters["Key"] = key
        return self.send(key, partial(self._send_once, operation, key, parameters))

    def _send_once(self, operation: str, key: str, parameters: dict[str, Any]) -> dict[str, Any]:
        with translate_errors(
            self.path(key), self.url, writes=operation not in _READS, signed=is_signed
        ):
            if hasattr(parameters.get("Body"), "seek"):
                parameters["Body"].seek(0)
            response = getattr(connect(), operation)(Bucket=self.bucket, **parameters)
            missing = [name for name in _REQUIRED_FIELDS.get(operation, ()) if name not in response]
            if missing or response.get("ETag", "").count('"') == 1:
                raise UnavailableError(f"a response without {(missing or ['a whole ETag'])[0]}")
            if operation == "get_object":
                response["Body"] = _read_body(response["Body"])
        return dict(response)

    def _upload_parts(
        self, key: str, upload: Mapping[str, str], stream: BinaryIO, size_bytes: int
    ) -> Iterator[dict[str, Any]]:
        part_bytes = max(PART_BYTES, -(-size_bytes // _MOST_PARTS))
        stream.seek(0)
        number = 0
        while block := stream.read(part_bytes):
            number += 1
            response = self.request("upload_part", key, **upload, PartNumber=number, Body=block)
            yield {"PartNumber": number, "ETag": response["ETag"]}


def connect() -> Any:
    """Return the botocore client of this process; any number of threads may use it.

    Raises:
        botocore.exceptions.BotoCoreError: the configuration is contradictory.
        UsageError: the address of the server is not a URL.
    """
    with _connecting:
        # A forked process must not share the sockets of its parent.
        return _connect(os.getpid())


def disconnect() -> None:
    """Discard the client; the next client looks up the server and the credentials again."""
    _connect.cache_clear()


def is_signed() -> bool:
    """Return whether there are credentials to sign requests with."""
    return connect().meta.config.signature_version is not UNSIGNED


@cache
def _connect(_process_id: int) -> Any:
    session = botocore.session.get_session()
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=_parse_time)
    has_credentials = session.get_credentials() is not None
    config = Config(
        connect_timeout=limits.CONNECT_SECONDS,
        read_timeout=limits.READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},  # see `Patience`
        max_pool_connections=CONNECTIONS,
        # Public buckets are read without credentials.
        signature_version=None if has_credentials else UNSIGNED,
    )
    # Every other AWS SDK also reads AWS_REGION.
    region = session.get_config_variable("region") or os.environ.get("AWS_REGION")
    try:
        return session.create_client("s3", config=config, region_name=region)
    except ValueError:
        raise invalid_address() from None


def _parse_time(text: str) -> datetime:
    """Return a time in a response; the botocore parser is much slower."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return cast("datetime", parse_timestamp(text))  # the format of HTTP headers


def _read_body(body: Any) -> bytes:
    """Return a complete body. Raises UnavailableError if it is cut or damaged."""
    try:
        return bytes(body.read())
    except (HTTPClientError, IncompleteReadError, FlexibleChecksumError) as error:
        raise UnavailableError(type(error).__name__) from error
    finally:
        body.close()
