"""The one retry policy: attempts with growing random waits."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")
_RANDOM = secrets.SystemRandom()


class RetryPolicy(NamedTuple):
    """How often an operation is attempted, and how long to wait between attempts.

    Args:
        attempts: the number of attempts, at least 1.
        first_wait_seconds: the longest wait after the first attempt.
        factor: by which each wait is longer than the one before.
    """

    attempts: int
    first_wait_seconds: float
    factor: float = 2.0

    def wait_seconds(self, attempt: int) -> float:
        """Return the longest wait after an attempt, in seconds; the first attempt is 0."""
        return self.first_wait_seconds * self.factor**attempt


def retry(
    action: Callable[[], _T], policy: RetryPolicy, is_transient: Callable[[Exception], bool]
) -> _T:
    """Return the result of `action`; repeat it after errors that may pass.

    Each wait is random, between half of the policy's and all of it, so that processes that failed
    together do not return together.

    Args:
        action: the operation; it must be safe to repeat.
        policy: how often and how fast.
        is_transient: whether an error may pass.

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
