"""Patience: how long requests to an unavailable store are repeated.

A store may be away for a minute: its server restarts, a network is reconfigured. So a request to a
store is repeated for a time, not for a number of attempts. The waits between the attempts grow to
ten seconds. After two seconds, one line on stderr names the store, the reason and the time at
which the run gives up. Only failures that may pass are repeated: a store that refuses a request
(credentials, TLS, a missing bucket, a wrong region) has answered, and answers the same next time.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import SystemRandom
from threading import Lock
from typing import TypeVar

from records.runtime.logging import log_line
from records.text.formatting import pluralize

_T = TypeVar("_T")

_NOTICE_SECONDS = 2.0
_FAIL_FAST_SECONDS = 60.0
_RANDOM = SystemRandom()


class UnavailableError(Exception):
    """A failure that may pass: no response, half a response, or one that asks to try later.

    The text is the reason for messages: an error code or the name of a class, without secrets.

    Args:
        reason: the reason.
        has_answered: whether the store responded at all.
    """

    def __init__(self, reason: str, *, has_answered: bool = True) -> None:
        super().__init__(reason)
        self.has_answered = has_answered


@dataclass(frozen=True)
class Patience:
    """The patience with one store; any thread may use it.

    Attributes:
        url: the URL of the store, for messages.
        seconds: the time from its first failure after which a request is given up; with 0, it is
            sent only once.
        first_wait_seconds: the longest wait after the first attempt.
        longest_wait_seconds: the limit of all waits; each wait may be twice as long as the last.
    """

    url: str
    seconds: float
    first_wait_seconds: float = 0.25
    longest_wait_seconds: float = 10.0

    def call(self, request: Callable[[], _T]) -> _T:
        """Return the result of `request`, and repeat the request while it is unavailable.

        The waits are random, so that processes that failed together do not retry together. After
        this process has given up once, requests to the store are sent only once for a minute: the
        run ends soon.

        Args:
            request: a request that is safe to repeat.

        Raises:
            UnavailableError: the error of the last attempt.
        """
        outage = _outage_of(self.url)
        first_failure, longest = math.inf, self.first_wait_seconds
        while True:
            try:
                result = request()
            except UnavailableError as error:
                failed = time.monotonic()
                first_failure = min(failed, first_failure)
                left = first_failure + self.seconds - failed
                if left <= 0 or failed < outage.fail_fast_until:
                    outage.fail_fast_until = failed + _FAIL_FAST_SECONDS
                    raise
                if failed - first_failure >= _NOTICE_SECONDS:
                    outage.notice(error, left, since=first_failure)
                time.sleep(min(left, _RANDOM.uniform(longest / 2, longest)))
                longest = min(2 * longest, self.longest_wait_seconds)
            except Exception:  # a refusal is an answer too
                outage.end()
                raise
            else:
                outage.end()
                return result


class _Outage:
    """What the threads of this process share about one store."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._since: float | None = None
        self._lock = Lock()
        self.fail_fast_until = 0.0

    def notice(self, error: UnavailableError, left_seconds: float, *, since: float) -> None:
        """Log one line for this outage, which began at a time of the monotonic clock."""
        with self._lock:
            if self._since is not None:
                return
            self._since = since
        what = "fails" if error.has_answered else "does not answer"
        until = datetime.now().astimezone() + timedelta(seconds=left_seconds)
        log_line(
            f"{self._url} {what} ({error}); retrying until {until:%H:%M:%S}", level=logging.WARNING
        )

    def end(self) -> None:
        """Record that the store has answered."""
        self.fail_fast_until = 0.0
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            seconds = round(time.monotonic() - since)
            log_line(
                f"{self._url} answers again after {pluralize(seconds, 'second')}",
                level=logging.WARNING,
            )


@cache
def _outage_of(url: str) -> _Outage:
    return _Outage(url)


def forget_outages() -> None:
    """Forget all outages of this process, for tests."""
    _outage_of.cache_clear()
