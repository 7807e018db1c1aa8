"""Errors of threads that the command line hides."""

from __future__ import annotations

import threading

import pytest

from pipelines.cli.output import silence_beam_logs


@pytest.fixture(autouse=True)
def _threads_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


def test_silence_beam_logs_failing_thread_prints_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    silence_beam_logs()
    thread = threading.Thread(target=lambda: {"yes": 1}["no"])
    thread.start()
    thread.join()
    assert capsys.readouterr() == ("", "")
