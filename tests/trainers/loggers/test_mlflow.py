"""Runs in MLflow, read back by its client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.trainers.test_config import CONFIG
from tests.trainers.training.test_resume import run_plan, stop_at_step
from trainers.options import TrainOptions
from trainers.runs.create import create_run
from trainers.runs.history import EpochMetrics
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path

    from trainers.loggers.tracker import TrackerLogger
    from trainers.runs.run_dir import Run

LABELS = ("disc", "square", "star", "arc", "dot")
mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow use its default, a database in the current folder."""
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "flowers", CONFIG, LABELS)


def open_logger(run: Run, lines: list[str]) -> TrackerLogger:
    from trainers.loggers.mlflow import open_logger

    return open_logger(run, lines.append)


def epoch(step: int) -> EpochMetrics:
    return EpochMetrics(step, 0.5, 1.0, 0.5, step / 10, 0.01, 3.0, {"own metric/é": 2.0})


def find_runs(name: str = "shardmill") -> list[Any]:
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(name)
    return list(client.search_runs([experiment.experiment_id]))


def steps_of(found: Any, metric: str) -> list[tuple[int, float]]:
    history = mlflow.MlflowClient().get_metric_history(found.info.run_id, metric)
    return [(each.step, each.value) for each in history]


def test_run_that_resumes_is_one_run_with_each_epoch_once(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    logger = open_logger(run, lines)
    for step in (2, 4):
        logger.write_step(step - 1, {"loss": 1.0})
        logger.write_epoch(step, epoch(step))
    logger.close("interrupted")
    assert [found.info.status for found in find_runs()] == ["KILLED"]
    run.write_unrecorded("history.csv", b"epoch\n")
    logger = open_logger(run, lines)
    assert [found.info.status for found in find_runs()] == ["RUNNING"]
    for step in (4, 6):
        logger.write_epoch(step, epoch(step))
    logger.close("finished")
    (found,) = find_runs()
    assert (found.info.status, found.info.run_name) == ("FINISHED", "flowers")
    assert steps_of(found, "val_loss") == [(2, 0.2), (4, 0.4), (6, 0.6)]
    assert steps_of(found, "own metric/_")[0] == (2, 2.0)
    assert found.data.params["learning_rate"] == "0.001"
    assert found.data.params["augment.flip"] == "none"
    assert found.data.tags["shardmill.dataset"] == "/data"
    client = mlflow.MlflowClient()
    files = [file.path for file in client.list_artifacts(found.info.run_id)]
    assert files == ["config.json", "history.csv"]
    assert len(lines) == 2
    assert found.info.run_id in lines[0]
    assert capfd.readouterr().out == ""


def test_run_that_is_deleted_there_begins_again(run: Run) -> None:
    lines: list[str] = []
    open_logger(run, lines).close("interrupted")
    (first,) = find_runs()
    mlflow.MlflowClient().delete_run(first.info.run_id)
    open_logger(run, lines).close("failed")
    (second,) = find_runs()
    assert second.info.run_id != first.info.run_id
    assert second.info.status == "FAILED"


def test_experiment_of_the_environment_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "petals")
    open_logger(run, []).close("finished")
    assert len(find_runs("petals")) == 1


def test_active_run_of_the_program_does_not_change(run: Run) -> None:
    with mlflow.start_run() as active:
        open_logger(run, []).close("finished")
        assert mlflow.active_run().info.run_id == active.info.run_id
    assert mlflow.get_run(active.info.run_id).data.params == {}


def test_training_that_resumes_is_one_run(shapes: Path, tmp_path: Path) -> None:
    options = TrainOptions(
        epochs=3, batch_size=8, image_size=(24, 24), checkpoint_steps=5, log=("mlflow",)
    )
    # Two epochs of 17 steps end, the second of which is trained again.
    with stop_at_step(36), pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(shapes, tmp_path / "run", options))
    (tmp_path / "run" / "checkpoints" / "step-00000035.weights.h5").unlink()
    run_plan(plan_training(shapes, tmp_path / "run", options, resume=True))
    (found,) = find_runs()
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert [step for step, _ in steps_of(found, "val_loss")] == [17, 34, 51]
    files = mlflow.MlflowClient().list_artifacts(found.info.run_id)
    assert [file.path for file in files] == [
        "config.json", "curves.png", "history.csv", "options.toml", "result.json",
    ]  # fmt: skip
