"""The retry policy: transient errors, attempts, waits."""

from __future__ import annotations

import pytest

from records.storage.retry import RetryPolicy, retry
from tests.clock import replace_time

NO_WAIT = RetryPolicy(attempts=3, first_wait_seconds=0)


class Flaky:
    """An action that fails a number of times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise TimeoutError(self.calls)
        return self.calls


def is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError)


def test_retry_transient_errors_are_retried_until_success() -> None:
    assert retry(Flaky(2), NO_WAIT, is_timeout) == 3


def test_retry_last_attempt_raises_its_own_error() -> None:
    action = Flaky(5)
    with pytest.raises(TimeoutError) as raised:
        retry(action, NO_WAIT, is_timeout)
    assert raised.value.args == (3,)
    assert action.calls == 3


def test_retry_permanent_error_is_raised_at_once() -> None:
    action = Flaky(5)
    with pytest.raises(TimeoutError):
        retry(action, NO_WAIT, lambda error: False)
    assert action.calls == 1


def test_retry_policy_waits_grow_by_factor() -> None:
    policy = RetryPolicy(4, 0.25, factor=4)
    assert [policy.wait_seconds(attempt) for attempt in range(3)] == [0.25, 1.0, 4.0]


def test_retry_waits_between_half_and_whole_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    replace_time(monkeypatch, "records.storage.retry", sleep=waits.append)
    retry(Flaky(2), RetryPolicy(3, 10.0), is_timeout)
    assert 5 <= waits[0] <= 10 <= waits[1] <= 20
