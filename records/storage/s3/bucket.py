"""Requests to one bucket: each is answered whole, or it is told why not.

botocore takes an answer that was cut within its head for a whole one, with fields and body missing:
a listing of nothing, an empty file. So what an answer must have is looked for here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from records.storage.s3.client import DEFAULT_RETRY, FAIL_FAST, RetryPolicy, connect
from records.storage.s3.errors import ServerUnavailableError, translate_errors
from records.storage.s3.retry import TransientError, read_body, retry

_REQUIRED_FIELDS: Mapping[str, tuple[str, ...]] = {
    "head_object": ("ContentLength", "ETag"),
    "get_object": ("ContentLength", "ETag", "LastModified"),
    "list_objects_v2": ("IsTruncated",),
    "put_object": ("ETag",),
    "create_multipart_upload": ("UploadId",),
    "upload_part": ("ETag",),
    "complete_multipart_upload": ("ETag",),
}
_OPEN_SECONDS = 60.0
_READING = {"head_object", "get_object", "list_objects_v2"}


@dataclass
class _CircuitBreaker:
    """What is known of it: until when (monotonic) a request is tried once, for it is gone."""

    gone_until: float = 0.0

    @property
    def patience(self) -> RetryPolicy:
        return FAIL_FAST if time.monotonic() < self.gone_until else DEFAULT_RETRY


_server = _CircuitBreaker()


class Bucket:
    """A bucket; nothing is asked of the server before it is used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ask(self, operation: str, path: str, **asked: Any) -> dict[str, Any]:
        """The answer to a request; a body in it is read.

        Args:
            operation: a method of botocore's client.
            path: what it is about, to show.
            **asked: its parameters, without the bucket.

        Raises:
            FileNotFoundError: there is no such key, or upload.
            ConditionFailedError: the store refused it by its condition.
            RangeError: the range lies behind the end.
            ShardmillError: as `translate_errors`.
        """
        is_gone = False
        try:
            return retry(lambda: self._ask_once(operation, path, asked), path)
        except ServerUnavailableError:
            is_gone = True
            raise
        finally:
            _server.gone_until = time.monotonic() + _OPEN_SECONDS if is_gone else 0.0

    def _ask_once(self, operation: str, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        with translate_errors(path, writes=operation not in _READING):
            if hasattr(asked.get("Body"), "seek"):
                asked["Body"].seek(0)
            client = connect(_server.patience)
            answer = getattr(client, operation)(Bucket=self.name, **asked)
            missing = [name for name in _REQUIRED_FIELDS.get(operation, ()) if name not in answer]
            if missing:
                raise TransientError(f"an answer without {missing[0]}")
            if operation == "get_object":
                answer["Body"] = read_body(answer["Body"])
        return dict(answer)
