"""Warnings and thread errors that the command line shows or hides."""

from __future__ import annotations

import logging
import threading

import pytest

from pipelines.cli.output import silence_beam_logs


@pytest.fixture(autouse=True)
def _threads_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


@pytest.mark.parametrize(("quiet", "seen"), [(False, "shardmill: note: look\n"), (True, "")])
def test_notes_are_printed_on_stderr_unless_quiet(
    capsys: pytest.CaptureFixture[str], quiet: bool, seen: str
) -> None:
    silence_beam_logs(quiet=quiet)
    logging.getLogger("shardmill").warning("look")
    assert capsys.readouterr() == ("", seen)


def test_silence_beam_logs_failing_thread_prints_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    silence_beam_logs()
    thread = threading.Thread(target=lambda: {"yes": 1}["no"])
    thread.start()
    thread.join()
    assert capsys.readouterr() == ("", "")
