"""Tests of progress lines."""

from __future__ import annotations

import time

import pytest

from trainers.runs.history import EpochMetrics
from trainers.training.progress import EpochBar, EpochLogProgress, Progress, choose_progress

LOGS = {"accuracy": 0.5, "loss": 1.25}


def tell(teller: Progress, epochs: int) -> None:
    teller.start(epochs, 2)
    for epoch in range(1, epochs + 1):
        for step in (1, 2):
            teller.end_step(step, LOGS)
        teller.end_epoch(EpochMetrics(epoch, 0.5, 1.25, 0.4, 1.5, 1e-3, 2.0))


def test_progress_quiet_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    tell(choose_progress(quiet=True), 2)
    assert capfd.readouterr() == ("", "")


def test_progress_log_prints_one_line_per_epoch(capfd: pytest.CaptureFixture[str]) -> None:
    tell(choose_progress(quiet=False), 10)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[8:] == [
        f"epoch {epoch:2}/10  accuracy 0.500  loss 1.250  val_accuracy 0.400  val_loss 1.500  2.0 s"
        for epoch in (9, 10)
    ]


def test_progress_log_long_epoch_prints_steps(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 40))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    tell(EpochLogProgress(), 1)
    assert "epoch 1/1  step 2/2  accuracy 0.500  loss 1.250" in capfd.readouterr().err


def test_progress_bar_leaves_one_line_per_epoch(capfd: pytest.CaptureFixture[str]) -> None:
    tell(EpochBar(), 2)
    lines = capfd.readouterr().err.replace("\r", "\n").splitlines()
    assert [line for line in lines if line.startswith("epoch")] == [
        f"epoch {epoch}/2  accuracy 0.500  loss 1.250  val_accuracy 0.400  val_loss 1.500  2.0 s"
        for epoch in (1, 2)
    ]
