"""Responses and failures of S3 translated to errors that name the remedy.

Only an error code or a class name is shown: the server's text about a refused signature quotes the
request, including the names of credentials.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - not a subclass of the built-in
    CredentialRetrievalError,
    EndpointResolutionError,
    HTTPClientError,
    InvalidConfigError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from records.errors import (
    InputNotFoundError,
    OutputError,
    ShardmillError,
    StorageError,
    UsageError,
)
from records.storage.errors import HINT_RERUN, conditional_writes_unsupported
from records.storage.s3.client import invalid_address, is_signed

_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_HINT_CREDENTIALS = "check the credentials and their permissions"
_HINT_NO_CREDENTIALS = (
    "no credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_OTHER_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_HINT_REGION = (
    "set AWS_DEFAULT_REGION to the region of the bucket, or AWS_ENDPOINT_URL to the server URL"
)


class ServerUnavailableError(StorageError):
    """The server does not respond, or fails every request."""


class TransientError(Exception):
    """A failure that may not recur: a truncated response or a conflict (HTTP 409)."""


class ConditionFailedError(Exception):
    """The condition of a write or a read does not hold (HTTP 412)."""


class RangeError(Exception):
    """The range starts after the end of the file (HTTP 416)."""


@contextmanager
def translate_errors(path: str, *, writes: bool) -> Iterator[None]:
    """Translate the errors that a request raises.

    Args:
        path: the URL, for messages.
        writes: whether the request writes.

    Raises:
        FileNotFoundError: the file does not exist.
        ConditionFailedError, RangeError, TransientError: see these classes.
        InputNotFoundError: the bucket to read from does not exist.
        OutputError: the bucket to write to does not exist, or refuses the request.
        UsageError: the configuration, or the name of the bucket or file, is invalid.
        ServerUnavailableError: storage failed after retries.
        StorageError: storage refused a read, credentials are missing, or botocore failed.
    """
    try:
        yield
    except ClientError as error:
        raise _explain_response(error, path, writes=writes) from error
    except EndpointResolutionError:
        raise invalid_address() from None
    except BotoCoreError as error:
        raise _explain_no_response(error, path) from error
    except (ResponseParserError, ValueError) as error:  # a truncated document or date
        raise TransientError(type(error).__name__) from error


def _explain_response(error: ClientError, path: str, *, writes: bool) -> Exception:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket":
        bucket = "/".join(path.split("/")[:3])
        return (OutputError if writes else InputNotFoundError)(
            "the bucket does not exist", path=bucket
        )
    if code == "ConditionalRequestConflict":
        return TransientError(code)
    by_status: dict[int, Exception] = {
        404: FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path),
        412: ConditionFailedError(code),
        416: RangeError(code),
        501: conditional_writes_unsupported(path),
    }
    return by_status.get(status) or _explain_refusal(status, code, path, writes=writes)


def _explain_refusal(status: int, code: str, path: str, *, writes: bool) -> ShardmillError:
    got = f"{status} {code}" if code != str(status) else code
    if status >= 500:
        return ServerUnavailableError(
            "storage failed after retries", path=path, got=got, hint=HINT_RERUN
        )
    kind: type[ShardmillError] = OutputError if writes else StorageError
    if status in {401, 403}:
        hint = _HINT_CREDENTIALS if is_signed() else _HINT_NO_CREDENTIALS
        return kind("access is denied", path=path, got=got, hint=hint)
    is_region = status in {301, 307} or code in _OTHER_REGION
    return kind(
        "storage refused a request", path=path, got=got, hint=_HINT_REGION if is_region else None
    )


def _explain_no_response(error: BotoCoreError, path: str) -> ShardmillError:
    got = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        return StorageError("credentials are missing", path=path, hint=_HINT_NO_CREDENTIALS)
    if isinstance(error, ProfileNotFound | InvalidConfigError):
        return UsageError("the S3 configuration is invalid", path=path, got=str(error))
    if isinstance(error, ParamValidationError):
        return UsageError(
            "the name of the bucket or of the file is invalid",
            path=path,
            hint="use a URL of the form s3://BUCKET/FOLDER",
        )
    if isinstance(error, ConnectionError | HTTPClientError):
        return ServerUnavailableError(
            "storage does not respond after retries", path=path, got=got, hint=HINT_RERUN
        )
    return StorageError("storage failed", path=path, got=got, hint=HINT_RERUN)
