"""Errors of requests, and their JSON."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from records.errors import ShardmillError
from records.runtime.logging import log_line

if TYPE_CHECKING:
    from collections.abc import Mapping

Refused = Literal[
    "too-large", "too-slow", "busy", "invalid", "no-prediction", "disconnected", "failed"
]
"""The reason why a request gets no prediction."""

_USAGE = 2
_RETRY_SECONDS = 1


class RequestError(ShardmillError):
    """A request is refused.

    Args:
        reason: the reason, for the metrics.
        status: the HTTP status.
        what: the problem, a clause without a full stop.
        expected: the expected value.
        got: the actual value.
        hint: the next step.
    """

    def __init__(
        self,
        reason: Refused,
        status: HTTPStatus,
        what: str,
        *,
        expected: object = None,
        got: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, expected=expected, got=got, hint=hint)
        self.reason = reason
        self.status = status
        self.headers: dict[str, str] = {}


def invalid(
    what: str, *, expected: object = None, got: object = None, hint: str | None = None
) -> RequestError:
    """Return the error of a request that does not follow the protocol."""
    return RequestError(
        "invalid", HTTPStatus.BAD_REQUEST, what, expected=expected, got=got, hint=hint
    )


def busy(what: str) -> RequestError:
    """Return the error of a request that the server may accept later."""
    hint = "send the request again later"
    return RequestError("busy", HTTPStatus.SERVICE_UNAVAILABLE, what, hint=hint)


def json_response(
    content: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with a JSON document."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def to_response(error: RequestError, *, as_text: bool) -> Response:
    """Return the response for a refused request.

    Args:
        error: the refusal.
        as_text: whether the error is one text, as V2 specifies; otherwise it has parts.
    """
    headers = dict(error.headers)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(_RETRY_SECONDS)
    shown = str(error) if as_text else error_parts(error)
    return json_response({"error": shown}, error.status, headers)


def error_parts(error: ShardmillError) -> dict[str, object]:
    """Return the parts of an error that are known."""
    return {name: value for name, value in error.to_dict().items() if value is not None}


def explain(error: Exception) -> RequestError:
    """Return the refusal that an exception of a handler means; log a failure of the server."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, ClientDisconnect):
        return RequestError(
            "disconnected", HTTPStatus.BAD_REQUEST, "the client closed the connection"
        )
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        refused = RequestError("invalid", status, status.phrase.lower())
        refused.headers = dict(error.headers or {})  # such as `Allow`
        return refused
    if isinstance(error, ShardmillError) and error.exit_code == _USAGE:
        return invalid(error.what, expected=error.expected, got=error.got, hint=error.hint)
    log_line(f"a request failed: {type(error).__name__}: {error}", level=logging.ERROR)
    return RequestError("failed", HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed")
