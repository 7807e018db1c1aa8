"""Tests of progress lines."""

from __future__ import annotations

import json

import pytest

from records.runtime.logging import set_log_format
from tests.clock import replace_time
from trainers.runs.history import EpochMetrics
from trainers.training.progress import EpochBar, EpochLogProgress, Progress, choose_progress

LOGS = {"accuracy": 0.5, "loss": 1.25}


def tell(teller: Progress, epochs: int, *, first: int = 1) -> None:
    teller.start(epochs, 2, epoch=first)
    for epoch in range(first, epochs + 1):
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
    replace_time(monkeypatch, "trainers.training.progress", monotonic=lambda: next(clock))
    tell(EpochLogProgress(), 1)
    assert "epoch 1/1  step 2/2  accuracy 0.500  loss 1.250" in capfd.readouterr().err


@pytest.mark.parametrize("progress", [EpochLogProgress, EpochBar])
@pytest.mark.parametrize("first", [2, 3, 4])
def test_progress_resumed_run_names_the_epochs_that_it_runs(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    progress: type[EpochLogProgress],
    first: int,
) -> None:
    clock = iter(range(0, 10000, 80))
    replace_time(monkeypatch, "trainers.training.progress", monotonic=lambda: next(clock))
    set_log_format("json")
    try:
        tell(progress(), 4, first=first)
    finally:
        set_log_format("text")
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    epochs = [json.loads(line)["epoch"] for line in lines]
    expected = [epoch for epoch in range(first, 5) for _ in lines[:: 5 - first]]
    assert epochs == expected
    assert all(f"epoch {epoch}/4" in line for epoch, line in zip(epochs, lines, strict=True))


def test_progress_bar_leaves_one_line_per_epoch(capfd: pytest.CaptureFixture[str]) -> None:
    tell(EpochBar(), 2)
    lines = capfd.readouterr().err.replace("\r", "\n").splitlines()
    assert [line for line in lines if line.startswith("epoch")] == [
        f"epoch {epoch}/2  accuracy 0.500  loss 1.250  val_accuracy 0.400  val_loss 1.500  2.0 s"
        for epoch in (1, 2)
    ]
