"""The connection to S3, or to what speaks like it: one client a process.

Where the server is, and whose credentials are used, botocore finds as every AWS tool does: in the
environment, `~/.aws`, or the machine's role. None of it passes through here, so none of it can come
into a plan, a log or a report.

botocore also repeats what failed and may pass (500, 502, 503, 504, throttling, connections refused,
cut or silent), each time after a random wait of up to 1, 2, 4, 8 and 16 s. A server that is gone is
told within half a minute, one that takes requests and never answers within two and a half.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config

ATTEMPTS = 6
_CONNECT_SECONDS = 10
_READ_SECONDS = 20
_CONNECTIONS = 64

_clients: dict[int, Any] = {}
_connecting = threading.Lock()


def connect() -> Any:
    """This process's client, for any number of threads.

    Raises:
        botocore.exceptions.BotoCoreError: what is configured contradicts itself.
    """
    with _connecting:
        # A process that was forked must not share the sockets of the one before it.
        process_id = os.getpid()
        if process_id not in _clients:
            _clients[process_id] = _new_client()
        return _clients[process_id]


def disconnect() -> None:
    """Forget the client: the next one looks anew for server and credentials."""
    with _connecting:
        _clients.clear()


def is_signed() -> bool:
    """Whether credentials were found to sign requests with."""
    return connect().meta.config.signature_version is not UNSIGNED


def _new_client() -> Any:
    session = botocore.session.get_session()
    has_credentials = session.get_credentials() is not None
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        # Buckets that are open to everybody are read without credentials.
        signature_version=None if has_credentials else UNSIGNED,
    )
    return session.create_client("s3", config=config)
