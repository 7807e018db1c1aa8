"""Responses and failures of S3 translated to errors that name the remedy.

Only an error code or a class name is shown: the server's text about a refused signature quotes the
request, including the names of credentials.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
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
    SSOError,
)
from botocore.parsers import ResponseParserError

from records.errors import ShardmillError, StorageError, UsageError
from records.storage.errors import (
    HINT_RERUN,
    access_denied,
    conditional_writes_unsupported,
    refused,
)
from records.storage.objects.client import (
    ConditionFailedError,
    RangeError,
    explain_no_response,
    missing_bucket,
)
from records.storage.remote.patience import UnavailableError

_CREDENTIAL_ERRORS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    SSOError,
)
_HINT_CREDENTIALS = "check the credentials and their permissions"
_HINT_NO_CREDENTIALS = (
    "no credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_INVALID_TOKEN = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
"""Refused credentials that S3 reports with the status 400."""
_OTHER_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_BAD_REQUEST = "400"
"""The status, and the code of a response without a body."""
_HINT_REGION = (
    "set AWS_DEFAULT_REGION to the region of the bucket{region}, or AWS_ENDPOINT_URL to the server"
    " URL"
)
_HINT_CERTIFICATE = "set AWS_CA_BUNDLE to the file of the certificates that sign the server's"
_HINT_ADDRESS = "check AWS_DEFAULT_REGION, or AWS_ENDPOINT_URL if you use another server"
_TRY_LATER = {
    *("RequestTimeout", "ConditionalRequestConflict", "OperationAborted", "SlowDown"),
    *("Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded"),
}


@contextmanager
def translate_errors(
    path: str, bucket: str, *, writes: bool, signed: Callable[[], bool]
) -> Iterator[None]:
    """Translate the errors that a request raises.

    Args:
        path: the URL, for messages.
        bucket: the URL of the bucket.
        writes: whether the request writes.
        signed: a function that returns whether requests are signed.

    Raises:
        FileNotFoundError: the file does not exist.
        ConditionFailedError, RangeError, UnavailableError: see these classes.
        ShardmillError: as `Requests.send`.
    """
    try:
        yield
    except ClientError as error:
        raise _explain_response(error, path, bucket, writes=writes, signed=signed) from error
    except EndpointResolutionError:
        raise invalid_address() from None
    except BotoCoreError as error:
        raise _explain_no_response(error, path, writes=writes) from error
    except RecursionError as error:  # botocore follows a redirection that names no region
        raise refused(
            path, 301, "", writes=writes, access_hint="", hint=_region_hint(301, "", {})
        ) from error
    except (ResponseParserError, ValueError) as error:  # a cut document or date
        raise UnavailableError(type(error).__name__) from error


def is_unexplained(error: StorageError) -> bool:
    """Return whether a store has refused a HEAD with 400: the response has no body."""
    return error.got == _BAD_REQUEST


def _explain_response(
    error: ClientError, path: str, bucket: str, *, writes: bool, signed: Callable[[], bool]
) -> Exception:
    metadata = error.response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket":
        return missing_bucket(bucket, writes=writes)
    got = f"{status} {code}" if code != str(status) else code
    if status == 501:
        return conditional_writes_unsupported(path)
    if status >= 500 or status in {408, 429} or code in _TRY_LATER:
        return UnavailableError(got)
    by_status: dict[int, Exception] = {
        404: FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path),
        412: ConditionFailedError(code),
        416: RangeError(code),
    }
    if code in _INVALID_TOKEN:
        return access_denied(path, writes=writes, got=got, hint=_HINT_CREDENTIALS)
    return by_status.get(status) or refused(
        path,
        status,
        "" if code == str(status) else code,
        writes=writes,
        access_hint=_HINT_CREDENTIALS if signed() else _HINT_NO_CREDENTIALS,
        hint=_region_hint(status, code, metadata.get("HTTPHeaders", {})),
    )


def _region_hint(status: int, code: str, headers: dict[str, str]) -> str | None:
    region = headers.get("x-amz-bucket-region")
    # The response to a HEAD has no body that explains it: S3 answers 400 in another region.
    if status in {301, 307} or code in _OTHER_REGION or code == _BAD_REQUEST:
        return _HINT_REGION.format(region=f", {region}" if region else "")
    return None


def _explain_no_response(error: BotoCoreError, path: str, *, writes: bool) -> Exception:
    if isinstance(error, _CREDENTIAL_ERRORS):
        return _explain_credentials(error, path, writes=writes)
    if isinstance(error, ProfileNotFound | InvalidConfigError):
        return UsageError("the S3 configuration is invalid", path=path, got=str(error))
    if isinstance(error, ParamValidationError):
        return UsageError(
            "the name of the bucket or of the file is invalid",
            path=path,
            hint="use a URL of the form s3://BUCKET/FOLDER",
        )
    if isinstance(error, ConnectionError | HTTPClientError):
        return explain_no_response(
            error,
            path,
            writes=writes,
            certificate_hint=_HINT_CERTIFICATE,
            address_hint=_HINT_ADDRESS,
        )
    return StorageError("storage failed", path=path, got=type(error).__name__, hint=HINT_RERUN)


def _explain_credentials(error: BotoCoreError, path: str, *, writes: bool) -> Exception:
    if isinstance(error, CredentialRetrievalError):  # the server of the role may be away
        return UnavailableError(type(error).__name__, has_answered=False)
    if isinstance(error, SSOError):
        what, hint = "the credentials have expired", "run `aws sso login`"
    else:
        what, hint = "credentials are missing", _HINT_NO_CREDENTIALS
    return access_denied(path, writes=writes, hint=hint, what=what)


def invalid_address() -> ShardmillError:
    """Return the error for an invalid server address; unlike botocore, it shows no password."""
    return UsageError(
        "the address of the S3 server is not a URL", hint="correct or unset AWS_ENDPOINT_URL"
    )
