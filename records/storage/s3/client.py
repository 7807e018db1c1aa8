"""The connection to S3 or a compatible server: one client per process.

Like every AWS tool, botocore finds the server and the credentials in the environment, in `~/.aws`,
or in the role of the machine. shardmill does not handle credentials, so they cannot enter a plan, a
log or a report.

botocore also retries transient failures: status 500, 502, 503 and 504, throttling, and connections
that are refused, closed or silent. The random waits are up to 1, 2, 4, 8 and 16 s. So shardmill
reports an unavailable server within half a minute. If a server accepts requests but never responds,
the error comes within two minutes. While a server is known to be unavailable, each request is
attempted only once.
"""

from __future__ import annotations

import os
import threading
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, cast

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.utils import parse_timestamp

from records.errors import UsageError


class RequestLimits(NamedTuple):
    """The number of times that botocore attempts a request, and the timeouts of each attempt."""

    attempts: int
    connect_seconds: float
    read_seconds: float


DEFAULT_LIMITS = RequestLimits(attempts=6, connect_seconds=5, read_seconds=15)
FAIL_FAST = RequestLimits(attempts=1, connect_seconds=2, read_seconds=5)
_CONNECTIONS = 64
_connecting = threading.Lock()


def connect(limits: RequestLimits = DEFAULT_LIMITS) -> Any:
    """Return the client of this process; any number of threads may use it.

    Raises:
        botocore.exceptions.BotoCoreError: the configuration is contradictory.
        UsageError: the address of the server is not a URL.
    """
    with _connecting:
        # A forked process must not share the sockets of its parent.
        return _client(os.getpid(), limits)


def disconnect() -> None:
    """Discard the client; the next client looks up the server and the credentials again."""
    _client.cache_clear()


def is_signed() -> bool:
    """Return whether there are credentials to sign requests with."""
    return connect().meta.config.signature_version is not UNSIGNED


@cache
def _client(_process_id: int, limits: RequestLimits) -> Any:
    session = botocore.session.get_session()
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=_parse_time)
    has_credentials = session.get_credentials() is not None
    config = Config(
        connect_timeout=limits.connect_seconds,
        read_timeout=limits.read_seconds,
        retries={"mode": "standard", "total_max_attempts": limits.attempts},
        max_pool_connections=_CONNECTIONS,
        # Public buckets are read without credentials.
        signature_version=None if has_credentials else UNSIGNED,
    )
    try:
        return session.create_client("s3", config=config)
    except ValueError:
        raise invalid_address() from None


def _parse_time(text: str) -> datetime:
    """Return a time in a response; the botocore parser is much slower."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return cast("datetime", parse_timestamp(text))  # the format of HTTP headers


def invalid_address() -> UsageError:
    """Return the error for an invalid server address; unlike botocore, it shows no password."""
    return UsageError(
        "the address of the S3 server is not a URL", hint="correct or unset AWS_ENDPOINT_URL"
    )
