"""The connection to S3, or to what speaks like it: one client a process.

Where the server is, and whose credentials are used, botocore finds as every AWS tool does: in the
environment, `~/.aws`, or the machine's role. None of it passes through here, so none of it can come
into a plan, a log or a report.

botocore also repeats what failed and may pass (500, 502, 503, 504, throttling, connections refused,
cut or silent), each time after a random wait of up to 1, 2, 4, 8 and 16 s. A server that is gone is
told within half a minute, one that takes requests and never answers within two. What is asked of a
server that is gone already is asked once.
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


class RetryPolicy(NamedTuple):
    """How long a server is waited for."""

    attempts: int
    connect_seconds: float
    read_seconds: float


DEFAULT_RETRY = RetryPolicy(attempts=6, connect_seconds=5, read_seconds=15)
FAIL_FAST = RetryPolicy(attempts=1, connect_seconds=2, read_seconds=5)
_CONNECTIONS = 64
_connecting = threading.Lock()


def connect(patience: RetryPolicy = DEFAULT_RETRY) -> Any:
    """This process's client, for any number of threads.

    Raises:
        botocore.exceptions.BotoCoreError: what is configured contradicts itself.
        UsageError: the server's address is no URL.
    """
    with _connecting:
        # A process that was forked must not share the sockets of the one before it.
        return _client(os.getpid(), patience)


def disconnect() -> None:
    """Forget the client: the next one looks anew for server and credentials."""
    _client.cache_clear()


def is_signed() -> bool:
    """Whether credentials were found to sign requests with."""
    return connect().meta.config.signature_version is not UNSIGNED


@cache
def _client(_process_id: int, patience: RetryPolicy) -> Any:
    session = botocore.session.get_session()
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=_parse_time)
    has_credentials = session.get_credentials() is not None
    config = Config(
        connect_timeout=patience.connect_seconds,
        read_timeout=patience.read_seconds,
        retries={"mode": "standard", "total_max_attempts": patience.attempts},
        max_pool_connections=_CONNECTIONS,
        # Buckets that are open to everybody are read without credentials.
        signature_version=None if has_credentials else UNSIGNED,
    )
    try:
        return session.create_client("s3", config=config)
    except ValueError:
        raise no_address() from None


def _parse_time(text: str) -> datetime:
    """A time in an answer. botocore's own way takes two thirds of the time that a listing takes."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return cast("datetime", parse_timestamp(text))  # as headers have it


def no_address() -> UsageError:
    """What is told of an address that is none; botocore's own text shows it, with a password."""
    return UsageError(
        "the address of the S3 server is no URL", hint="set AWS_ENDPOINT_URL, or unset it"
    )
