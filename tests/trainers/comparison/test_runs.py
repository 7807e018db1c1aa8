"""`runs` compares the results and the options of runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

import shardmill as sm
from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.images import ImageOptions
from shardmill.cli import shardmill
from tests.trainers.conftest import LABELS
from trainers.comparison import RunsComparison
from trainers.config import FORMAT_VERSION, Architecture, ImageShape, RunConfig
from trainers.options import Augmentation, TaskName, TrainOptions
from trainers.runs.create import create_run
from trainers.runs.history import EpochMetrics, encode_history
from trainers.runs.result import TrainingResult, encode_result
from trainers.runs.run_dir import HISTORY, RESULT, WEIGHTS
from trainers.tasks.intervals import wilson_interval

EPOCHS = [
    EpochMetrics(epoch, 0.5, 1.0, 0.25 * epoch, 1 / epoch, 1e-3, 2.5, {"f1": 0.5})
    for epoch in (1, 2, 3)
]


def make_run(
    folder: Path,
    options: TrainOptions,
    *,
    images: int = 40,
    finished: bool = True,
    digest: str = "a",
    task: TaskName = "classification",
) -> Path:
    """Write a run of three epochs, whose second epoch has the weights."""
    architecture = Architecture(
        "cnn", ImageShape(16, 24), classes=3, dropout=options.dropout, task=task
    )
    config = RunConfig(
        FORMAT_VERSION,
        options,
        architecture,
        options.learning_rate or 1e-3,
        ImageOptions(),
        dataset="data",
        plan_digests=(digest,),
    )
    run = create_run(folder, config, LABELS)
    run.write(WEIGHTS, b"weights")
    if not finished:
        run.write_unrecorded(HISTORY, encode_history(EPOCHS))
        return folder
    result = TrainingResult(
        run=str(folder), model="cnn", mode="scratch", epochs=3, steps=9, weights_epoch=2,
        training_images=100, validation_images=images, parameters=10, trained_parameters=10,
        accuracy=0.5, loss=1.0, val_accuracy=0.5, val_loss=0.5, seconds=7.5,
    )  # fmt: skip
    run.write_all({HISTORY: encode_history(EPOCHS), RESULT: encode_result(result)})
    return folder


def test_runs_have_results_of_saved_epoch_and_differing_options(tmp_path: Path) -> None:
    first = make_run(tmp_path / "first", TrainOptions())
    flipped = TrainOptions(learning_rate=0.01, augment=Augmentation(flip="horizontal"))
    second = make_run(tmp_path / "second", flipped)
    found = sm.runs([first, str(second)])
    assert isinstance(found, RunsComparison)
    assert found.differences == {
        "learning_rate": (0.001, 0.01),
        "augment.flip": ("none", "horizontal"),
    }
    assert found.same_validation
    for summary, path in zip(found.runs, (first, second), strict=True):
        assert (summary.run, summary.is_finished, summary.epochs) == (str(path), True, 3)
        assert summary.weights_epoch == 2
        assert summary.metrics == {
            "accuracy": 0.5, "loss": 1.0, "val_accuracy": 0.5, "val_loss": 0.5,
            "learning_rate": 0.001, "f1": 0.5,
        }  # fmt: skip
        assert summary.val_accuracy_interval == wilson_interval(20, 40)
        assert summary.seconds == 7.5
    lines = repr(found).splitlines()
    assert len(lines) == 3 + 1 + 3 + 1
    assert lines[-1].startswith("--split NAME evaluates the runs")
    assert "accuracy 50.0% (95% CI 35.2–64.8%)" in lines[1]


def test_runs_command_prints_json_and_draws_chart(tmp_path: Path) -> None:
    paths = [str(make_run(tmp_path / name, TrainOptions())) for name in ("a", "b", "näme\u202e")]
    chart = tmp_path / "runs.png"
    ended = CliRunner().invoke(shardmill, ["runs", *paths, "--chart", str(chart), "--json"])
    assert ended.exit_code == 0, ended.output
    printed = json.loads(ended.stdout)
    assert [each["run"] for each in printed["runs"]] == paths
    assert printed["differences"] == {}
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_runs_unfinished_run_has_its_last_epoch(tmp_path: Path) -> None:
    found = sm.runs(make_run(tmp_path / "run", TrainOptions(), finished=False))
    (summary,) = found.runs
    assert (summary.is_finished, summary.weights_epoch) == (False, 3)
    assert summary.metrics["val_accuracy"] == 0.75
    assert found.same_validation is None
    assert found.lines()[-1] == "not finished: 1"


@pytest.mark.parametrize("kind", ["images", "digest", "split"])
def test_runs_validated_on_different_images_are_noted(kind: str, tmp_path: Path) -> None:
    first = make_run(tmp_path / "first", TrainOptions())
    options = TrainOptions(validation_split="validation" if kind == "split" else None)
    second = make_run(
        tmp_path / "second",
        options,
        images=41 if kind == "images" else 40,
        digest="b" if kind == "digest" else "a",
    )
    found = sm.runs([first, second])
    assert found.same_validation is False
    assert "validated on different images" in "\n".join(found.lines())


@pytest.mark.parametrize(
    "content", [b"", b"epoch\n", b"epoch,loss\n1,2\n", b"epoch,loss\n1,x\n", b"\xff", b"a,b\n1\n"]
)
@pytest.mark.parametrize("finished", [True, False])
def test_runs_damaged_history_is_a_corrupt_data_error(
    content: bytes, finished: bool, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", TrainOptions(), finished=finished)
    (run / HISTORY).write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"history\.csv"):
        sm.runs(run)


def test_runs_missing_run_and_no_run_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        sm.runs(tmp_path / "absent")
    with pytest.raises(UsageError, match="no run"):
        sm.runs([])


@pytest.mark.slow
def test_runs_with_a_split_are_compared_on_its_images(run_path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    sm.train(sm.runs(run_path).runs[0].dataset, other, epochs=1, image_size=(24, 32), seed=4)
    paths = [str(run_path), str(other)]
    ended = CliRunner().invoke(shardmill, ["runs", *paths, "--split", "test", "--json"])
    assert ended.exit_code == 0, ended.output
    printed = json.loads(ended.stdout)
    (paired,) = printed["comparisons"]
    evaluations: list[Any] = [sm.evaluate(path, split="test") for path in paths]
    one, two = evaluations
    assert printed["split"] == "test"
    assert paired["images"] == one.images == two.images
    assert paired["both_right"] + paired["only_first"] == round(one.accuracy * one.images)
    assert paired["both_right"] + paired["only_second"] == round(two.accuracy * two.images)
    (line,) = (it for it in sm.runs(paths, split="test").lines() if it.startswith("test: "))
    assert "run 2 is better than run 1 on" in line


def test_runs_with_a_split_needs_two_runs_that_predict_one_class(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", TrainOptions())
    with pytest.raises(UsageError, match="name two or more"):
        sm.runs(run, split="test")
    with pytest.raises(UsageError, match="omit --split"):
        sm.runs(
            [run, make_run(tmp_path / "other", TrainOptions(), task="multi-label")], split="test"
        )


def test_runs_trained_run_agrees_with_its_result(run_path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run_path, tmp_path / "run")
    (summary,) = sm.runs(copy).runs
    result = json.loads((copy / RESULT).read_bytes())
    assert summary.metrics["val_accuracy"] == pytest.approx(result["val_accuracy"], abs=1e-5)
    assert msgspec.to_builtins(summary)["training_images"] == result["training_images"]
