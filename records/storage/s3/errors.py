"""What S3 answers, or does not, as errors that say what to do.

Only a code and a class name are told of it: what a server writes about a refused signature quotes
the request, credentials' names included.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, no subclass of Python's
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
from records.storage.errors import conditional_writes_unsupported
from records.storage.s3.client import is_signed, no_address
from records.storage.s3.retry import TransientError

_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_HINT_AGAIN = "run the same command again: what is finished is kept"
_HINT_CREDENTIALS = "check the credentials, and what they allow"
_HINT_NO_CREDENTIALS = (
    "no credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_OTHER_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_HINT_REGION = "set AWS_REGION to the bucket's, or AWS_ENDPOINT_URL to the server"


class ServerUnavailableError(StorageError):
    """The server is not there, or fails whatever is asked of it."""


class ConditionFailedError(Exception):
    """The store refused a write or a read: its condition does not hold (HTTP 412)."""


class RangeError(Exception):
    """What is asked for lies behind the end of the file (HTTP 416)."""


@contextmanager
def translate_errors(path: str, *, writes: bool) -> Iterator[None]:
    """Turn whatever a request raises into an error of ours.

    Args:
        path: the URL, to show.
        writes: whether it changes something there.

    Raises:
        FileNotFoundError: there is no such file.
        ConditionFailedError, RangeError, TransientError: as the store answered.
        InputNotFoundError: there is no such bucket to read from.
        OutputError: it cannot be written to.
        UsageError: what is configured, or the bucket's name, is wrong.
        ServerUnavailableError: storage failed, also after retries.
        StorageError: it refused to be read from, or what it said makes no sense.
    """
    try:
        yield
    except ClientError as error:
        raise _explain_answer(error, path, writes=writes) from error
    except EndpointResolutionError:
        raise no_address() from None
    except BotoCoreError as error:
        raise _explain_no_response(error, path) from error
    except (ResponseParserError, ValueError) as error:  # half a document, half a date
        raise TransientError(type(error).__name__) from error


def _explain_answer(error: ClientError, path: str, *, writes: bool) -> Exception:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket":
        bucket = "/".join(path.split("/")[:3])
        return (OutputError if writes else InputNotFoundError)(
            "there is no such bucket", path=bucket
        )
    if code == "ConditionalRequestConflict":
        return TransientError(code)
    plain: dict[int, Exception] = {
        404: FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path),
        412: ConditionFailedError(code),
        416: RangeError(code),
        501: conditional_writes_unsupported(path),
    }
    return plain.get(status) or _explain_refusal(status, code, path, writes=writes)


def _explain_refusal(status: int, code: str, path: str, *, writes: bool) -> ShardmillError:
    told = f"{status} {code}" if code != str(status) else code
    if status >= 500:
        return ServerUnavailableError(
            "storage failed, also after retries", path=path, got=told, hint=_HINT_AGAIN
        )
    refused: type[ShardmillError] = OutputError if writes else StorageError
    if status in {401, 403}:
        whose = _HINT_CREDENTIALS if is_signed() else _HINT_NO_CREDENTIALS
        return refused("access is denied", path=path, got=told, hint=whose)
    hint = _HINT_REGION if status in {301, 307} or code in _OTHER_REGION else None
    return refused("the store refused a request", path=path, got=told, hint=hint)


def _explain_no_response(error: BotoCoreError, path: str) -> ShardmillError:
    got = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        return StorageError("credentials are missing", path=path, hint=_HINT_NO_CREDENTIALS)
    if isinstance(error, ProfileNotFound | InvalidConfigError):
        return UsageError("what is configured for S3 is wrong", path=path, got=str(error))
    if isinstance(error, ParamValidationError):
        return UsageError("S3 has no such names", path=path, hint="write s3://BUCKET/FOLDER")
    if isinstance(error, ConnectionError | HTTPClientError):
        return ServerUnavailableError(
            "storage does not answer, also after retries", path=path, got=got, hint=_HINT_AGAIN
        )
    return StorageError("storage failed", path=path, got=got, hint=_HINT_AGAIN)
