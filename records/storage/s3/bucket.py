"""Requests to one bucket, with complete responses or clear errors.

If a response is truncated in its headers, botocore accepts it as complete, with no fields or body:
as an empty listing or an empty file. So this module checks that each response has its required
fields. It also retries truncated bodies and conflicts (HTTP 409), which botocore does not retry.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import FlexibleChecksumError, HTTPClientError, IncompleteReadError

from records.errors import StorageError
from records.storage.errors import HINT_RERUN
from records.storage.retry import S3_RETRY, RetryPolicy, retry
from records.storage.s3.client import DEFAULT_LIMITS, FAIL_FAST, RequestLimits, connect
from records.storage.s3.errors import ServerUnavailableError, TransientError, translate_errors

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
_READS = {"head_object", "get_object", "list_objects_v2"}


@dataclass
class CircuitBreaker:
    """Circuit breaker: requests fail fast until `open_until` (monotonic clock)."""

    limits: RequestLimits = DEFAULT_LIMITS
    open_until: float = 0.0

    def current_limits(self) -> RequestLimits:
        """Return the limits of the next request."""
        return FAIL_FAST if time.monotonic() < self.open_until else self.limits

    def reset(self) -> None:
        """Forget that the server was unavailable."""
        self.open_until = 0.0

    def record(self, *, is_available: bool) -> None:
        """Record whether the server responded."""
        self.open_until = 0.0 if is_available else time.monotonic() + _OPEN_SECONDS


breaker = CircuitBreaker()
"""The circuit breaker of this process, which is assumed to use one server."""


class Bucket:
    """A bucket; the first request opens the connection.

    Args:
        name: the bucket name.
        retry_policy: the retry policy for truncated bodies and conflicts.
    """

    def __init__(self, name: str, retry_policy: RetryPolicy = S3_RETRY) -> None:
        self.name = name
        self._retry_policy = retry_policy

    def request(self, operation: str, path: str, **parameters: Any) -> dict[str, Any]:
        """Send a request and return the response with its complete body.

        Args:
            operation: a method of the botocore client.
            path: the URL of the file or folder, for messages.
            **parameters: the parameters of the operation, without the bucket.

        Raises:
            FileNotFoundError: the key, or the upload, does not exist.
            ConditionFailedError: the condition of the request does not hold.
            RangeError: the range starts after the end of the file.
            ShardmillError: as `translate_errors`.
        """
        is_available = True
        try:
            return retry(
                lambda: self._request_once(operation, path, parameters),
                self._retry_policy,
                is_transient=lambda error: isinstance(error, TransientError),
            )
        except ServerUnavailableError:
            is_available = False
            raise
        except TransientError as error:
            raise StorageError(
                "storage failed after retries", path=path, got=str(error), hint=HINT_RERUN
            ) from error
        finally:
            breaker.record(is_available=is_available)

    def _request_once(
        self, operation: str, path: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        with translate_errors(path, writes=operation not in _READS):
            if hasattr(parameters.get("Body"), "seek"):
                parameters["Body"].seek(0)
            client = connect(breaker.current_limits())
            response = getattr(client, operation)(Bucket=self.name, **parameters)
            missing = [name for name in _REQUIRED_FIELDS.get(operation, ()) if name not in response]
            if missing:
                raise TransientError(f"a response without {missing[0]}")
            if operation == "get_object":
                response["Body"] = _read_body(response["Body"])
        return dict(response)


def _read_body(body: Any) -> bytes:
    """Return a complete body. Raises TransientError if it is truncated or damaged."""
    try:
        return bytes(body.read())
    except (HTTPClientError, IncompleteReadError, FlexibleChecksumError) as error:
        raise TransientError(type(error).__name__) from error
    finally:
        body.close()
