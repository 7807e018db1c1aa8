"""The log on stderr: text and JSON lines."""

import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from records.runtime.logging import is_json, is_terminal, log_event, log_line, set_log_format


@pytest.fixture
def _json() -> Iterator[None]:
    set_log_format("json")
    yield
    set_log_format("text")


def read_line(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    line: dict[str, Any] = json.loads(err)
    return line


def test_log_line_text_format_prints_escaped_message_only(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log_line("halfway", done=1)
    log_line("bad \x1b[2J luck", level=logging.ERROR, exit_code=70)
    log_event("for programs")
    assert capfd.readouterr() == ("", "halfway\nshardmill: bad \\x1b[2J luck\n")


@pytest.mark.usefixtures("_json")
def test_log_line_json_format_prints_fields(capfd: pytest.CaptureFixture[str]) -> None:
    log_line("halfway", done=1, of=None, path="caf\udce9", keys=["a"])
    line = read_line(capfd)
    logged_at = datetime.fromisoformat(line.pop("time"))
    assert timedelta(0) <= datetime.now(UTC) - logged_at < timedelta(minutes=1)
    assert line == {
        "level": "info",
        "logger": "shardmill",
        "message": "halfway",
        "done": 1,
        "path": "caf\\udce9",
        "keys": ["a"],
    }


@pytest.mark.usefixtures("_json")
def test_log_line_json_format_includes_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        int("x")
    except ValueError:
        log_line("no number", level=logging.ERROR, trace=True)
    line = read_line(capfd)
    assert (line["level"], line["message"]) == ("error", "no number")
    assert line["trace"].startswith("Traceback")
    assert 'int("x")' in line["trace"]


@pytest.mark.usefixtures("_json")
def test_log_json_format_includes_library_logs_and_warnings(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logging.getLogger("library").warning("retried %d times\nin vain", 3)
    line = read_line(capfd)
    assert (line["logger"], line["level"]) == ("library", "warning")
    assert line["message"] == "retried 3 times\nin vain"
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert read_line(capfd)["logger"] == "py.warnings"


def test_set_log_format_back_to_text_prints_plain_lines(capfd: pytest.CaptureFixture[str]) -> None:
    set_log_format("json")
    assert is_json()
    set_log_format("text")
    assert not is_json()
    logging.getLogger("library").warning("not ours")
    log_line("ours")
    assert capfd.readouterr().err.endswith("ours\n")


def test_is_terminal_json_format_is_false(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: set_log_format("text"))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert is_terminal()
    set_log_format("json")
    assert not is_terminal()


def test_log_line_broken_stderr_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    class ClosedStream:
        def write(self, _text: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", ClosedStream())
    log_line("unread")
