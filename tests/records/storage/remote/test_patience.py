"""Patience with a store: a time instead of a number of attempts, one line of notice."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

import pytest

from records.errors import UsageError
from records.runtime.storage_patience import (
    VARIABLE,
    default_patience,
    default_patience_seconds,
    parse_duration,
)
from records.storage.remote import patience
from records.storage.remote.patience import Patience, UnavailableError
from tests.clock import replace_time

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "s3://photos"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by one that only `sleep` moves; return the sleeps."""
    sleeps: list[float] = []
    replace_time(
        monkeypatch,
        "records.storage.remote.patience",
        sleep=sleeps.append,
        monotonic=lambda: 1000 + sum(sleeps),
    )
    monkeypatch.setattr(
        patience, "_RANDOM", type("Top", (), {"uniform": lambda _, low, top: top})()
    )
    patience.forget_outages()
    return sleeps


def failing(times: float, error: Exception | None = None) -> Callable[[], int]:
    """Return a request that fails a number of times, then returns the number of its calls."""
    calls = count(1)

    def request() -> int:
        call = next(calls)
        if call <= times:
            raise error or UnavailableError("503 SlowDown")
        return call

    return request


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90s", 90),
        ("10m", 600),
        ("1.5h", 5400),
        ("1d", 86400),
        (" 45 ", 45),
        ("2 M", 120),
    ],
)
def test_parse_duration_number_and_unit_returns_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "-1s", "10 min", "1e3", "nan", "∞", "1.m", "1h30m", "٣m"]
)
def test_parse_duration_anything_else_raises_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="invalid duration, expected a number of s, m, h or d"):
        parse_duration(text)


def test_patience_waits_grow_to_limit_until_time_is_over(clock: list[float]) -> None:
    with pytest.raises(UnavailableError):
        Patience(URL, 60).call(failing(float("inf")))
    assert clock[:7] == [0.25, 0.5, 1, 2, 4, 8, 10]
    assert max(clock) == 10
    assert sum(clock) == 60


def test_patience_store_that_answers_again_gives_its_result(clock: list[float]) -> None:
    assert Patience(URL, 600).call(failing(20)) == 21
    assert 60 < sum(clock) < 600


def test_patience_zero_sends_request_once(clock: list[float]) -> None:
    request = failing(1)
    with pytest.raises(UnavailableError):
        Patience(URL, 0).call(request)
    assert clock == []
    assert request() == 2


def test_patience_after_giving_up_fails_fast_until_store_answers(clock: list[float]) -> None:
    store = Patience(URL, 30)
    with pytest.raises(UnavailableError):
        store.call(failing(float("inf")))
    waited = sum(clock)
    with pytest.raises(UnavailableError):
        store.call(failing(1))
    assert sum(clock) == waited
    assert store.call(failing(0)) == 1
    assert store.call(failing(3)) == 4


def test_patience_other_error_is_raised_at_once(clock: list[float]) -> None:
    with pytest.raises(UnavailableError):
        Patience(URL, 0).call(failing(1))
    with pytest.raises(PermissionError):
        Patience(URL, 600).call(failing(1, PermissionError()))
    assert clock == []
    assert Patience(URL, 600).call(failing(3)) == 4, "a refusal is an answer: no more failing fast"


@pytest.mark.parametrize(
    ("has_answered", "what"), [(True, "fails (reason)"), (False, "does not answer (reason)")]
)
def test_patience_outage_is_one_line_and_its_end_another(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, *, has_answered: bool, what: str
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(patience, "log_line", lambda text, level: lines.append(text))
    error = UnavailableError("reason", has_answered=has_answered)
    outages = []
    for _ in range(3):
        before = sum(clock)
        assert Patience(URL, 600).call(failing(12, error)) == 13
        outages.append(round(sum(clock) - before))
        assert Patience(URL, 600).call(failing(1, error)) == 2  # too short to be noticed
    assert len(lines) == 6
    for notice, end, seconds in zip(lines[::2], lines[1::2], outages, strict=True):
        assert notice.startswith(f"{URL} {what}; retrying until ")
        assert end == f"{URL} answers again after {seconds} seconds"


def test_default_patience_is_variable_or_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert default_patience_seconds() == 600
    with default_patience("90s"):
        assert default_patience_seconds() == 90
        with default_patience(None):
            assert default_patience_seconds() == 90
    assert VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, "5m")
    assert default_patience_seconds() == 300
