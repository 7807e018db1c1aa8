"""Retry policy: repeated attempts with growing random waits."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")
_RANDOM = secrets.SystemRandom()


class RetryPolicy(NamedTuple):
    """The number of attempts of an operation, and the waits between attempts.

    Attributes:
        attempts: the number of attempts, at least 1.
        first_wait_seconds: the longest wait after the first attempt.
        factor: the factor by which the longest wait grows after each attempt.
    """

    attempts: int
    first_wait_seconds: float
    factor: float = 2.0

    def wait_seconds(self, attempt: int) -> float:
        """Return the longest wait after an attempt, in seconds; the first attempt is number 0."""
        return self.first_wait_seconds * self.factor**attempt


LOCAL_RETRY = RetryPolicy(attempts=3, first_wait_seconds=0.5, factor=1)
"""Reads of local source files: network file systems have transient errors."""
ONE_ATTEMPT = RetryPolicy(attempts=1, first_wait_seconds=0)
"""Entries of local folders that are denied: a wait for each would take hours in a large folder."""
FSSPEC_RETRY = RetryPolicy(attempts=4, first_wait_seconds=0.5)
"""Failures of URLs that fsspec opens, if they are not known to pass; see also `Patience`."""


def retry(
    action: Callable[[], _T], policy: RetryPolicy, is_transient: Callable[[Exception], bool]
) -> _T:
    """Return the result of `action`, and repeat the action after transient errors.

    Each wait is random, between half and all of the longest wait of the policy, so that processes
    that failed at the same time do not retry at the same time.

    Args:
        action: the operation; it must be safe to repeat.
        policy: the number of attempts, and the waits between them.
        is_transient: a function that returns whether an error is transient.

    Raises:
        Exception: the first error that is not transient, or the error of the last attempt.
    """
    for attempt in range(policy.attempts - 1):
        try:
            return action()
        except Exception as error:
            if not is_transient(error):
                raise
        wait_seconds = policy.wait_seconds(attempt)
        time.sleep(_RANDOM.uniform(wait_seconds / 2, wait_seconds))
    return action()
