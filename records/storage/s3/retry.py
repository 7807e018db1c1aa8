"""What is tried again here, because botocore does not: an answer cut in its body, and conflicts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import (
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)

from records.errors import StorageError

_T = TypeVar("_T")
_WAITS_SECONDS = (0.25, 1.0, 4.0)
_RANDOM = secrets.SystemRandom()


class TransientError(Exception):
    """What the next try may do without: a cut answer, or another request to the same key (409)."""


def read_body(body: Any) -> bytes:
    """All of an answer's body. Raises TransientError where it is cut, or not what was stored."""
    try:
        return bytes(body.read())
    except (HTTPClientError, IncompleteReadError, FlexibleChecksumError) as error:
        raise TransientError(type(error).__name__) from error
    finally:
        body.close()


def retry(action: Callable[[], _T], path: str) -> _T:
    """Do what raises TransientError up to four times, after longer and longer random waits.

    Raises:
        StorageError: none of them passed; with `path` in it.
    """
    for wait_seconds in (*_WAITS_SECONDS, None):
        try:
            return action()
        except TransientError as error:
            if wait_seconds is None:
                raise StorageError(
                    "storage failed, also after retries",
                    path=path,
                    got=str(error),
                    hint="run the same command again: what is finished is kept",
                ) from error
            time.sleep(_RANDOM.uniform(wait_seconds / 2, wait_seconds))
    raise AssertionError("unreachable")
