"""The weights of the best and of the last epoch, also after kills."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from records.errors import InputNotFoundError
from shardmill.cli import shardmill
from tests.trainers.conftest import RUN_OPTIONS, write_shapes
from tests.trainers.training.test_resume import StopAt, assert_same_run, run_plan
from trainers.evaluation import Evaluation, evaluate
from trainers.options import KeptWeights, TrainOptions
from trainers.runs.create import open_for_writing
from trainers.runs.run_dir import open_run
from trainers.runs.thresholds import (
    ThresholdsOfWeights,
    encode_thresholds,
    find_thresholds,
    replaced_thresholds,
)
from trainers.tasks import Findings
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path

# With this rate, the validation loss rises after a few epochs.
OPTIONS = TrainOptions(
    epochs=8, batch_size=8, image_size=(24, 32), learning_rate=0.02, seed=1, checkpoint_steps=3
)
CHOICES: tuple[KeptWeights, ...] = ("best", "last")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("few") / "data"
    write_shapes(folder, {"train": [range(30)], "validation": [range(30, 54)]})
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("best") / "run"
    run_plan(plan_training(data, folder, OPTIONS))
    return folder


def val_losses(run: Path) -> list[float]:
    with (run / "history.csv").open(newline="") as file:
        return [float(row["val_loss"]) for row in csv.DictReader(file)]


def loss_of(run: Path, weights: KeptWeights | None) -> float:
    found = evaluate(run, split="validation", weights=weights)
    assert isinstance(found, Evaluation)
    return found.loss


def test_run_has_the_weights_of_its_best_and_of_its_last_epoch(run: Path) -> None:
    losses = val_losses(run)
    best = int(np.argmin(losses))
    assert best < len(losses) - 1, "the options of this test must give a best epoch before the last"
    result = json.loads((run / "result.json").read_bytes())
    assert (result["weights_epoch"], result["epochs"]) == (best + 1, len(losses))
    assert loss_of(run, None) == pytest.approx(losses[best], rel=1e-4)
    assert loss_of(run, "last") == pytest.approx(losses[-1], rel=1e-4)
    assert loss_of(run, "best") == loss_of(run, None)
    opened = open_run(run, "last")
    assert evaluate(opened, split="validation") == evaluate(run, split="validation", weights="last")


def test_run_of_a_fold_keeps_the_last_epoch(data: Path, tmp_path: Path) -> None:
    plan = plan_training(data, tmp_path / "run", msgspec.structs.replace(OPTIONS, fold="1/3"))
    result = run_plan(plan)
    assert result.weights_epoch == result.epochs == 8
    files = [
        (tmp_path / "run" / name).read_bytes() for name in ("model.weights.h5", "last.weights.h5")
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize("epochs", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_resumed_run_keeps_the_best_epoch_of_the_stopped_process(
    data: Path, tmp_path: Path, run: Path, epochs: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(data, tmp_path / "run", OPTIONS), StopAt(epochs))
    # As if the weights of a later epoch had been written before the kill.
    for name in ("model.weights.h5", "last.weights.h5"):
        stopped = open_run(tmp_path / "run")
        stopped.write(name, (run / "last.weights.h5").read_bytes())
    run_plan(plan_training(data, tmp_path / "run", OPTIONS, resume=True))
    assert_same_run(run, tmp_path / "run")
    for choice in CHOICES:
        paths = (run, tmp_path / "run")
        found = [find_thresholds(open_run(path, choice)).reject_below for path in paths]
        assert found[0] == found[1]


@pytest.mark.parametrize("writes", range(7))
def test_kill_between_two_writes_leaves_weights_with_their_thresholds(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    shutil.copytree(run, tmp_path / "run")
    before = {choice: find_thresholds(open_run(run, choice)) for choice in CHOICES}
    opened = open_run(tmp_path / "run")
    contents: dict[str, bytes] = {}
    expected = {}
    for number, choice in enumerate(reversed(CHOICES)):
        weights = b"new" + bytes([number])
        kept = open_run(tmp_path / "run", choice)
        found = Findings(reject_below=0.1 + number / 10)
        current = ThresholdsOfWeights.of(found, weights)
        contents[kept.thresholds_file] = encode_thresholds(current, replaced_thresholds(kept))
        contents[kept.weights_file] = weights
        expected[choice] = found.reject_below
    left = writes
    with open_for_writing(tmp_path / "run", opened.config, opened.labels) as written:
        write = type(written.folder).write

        def write_or_die(folder: object, name: str, content: bytes) -> None:
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            write(folder, name, content)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(type(written.folder), "write", write_or_die)
            if writes < 6:
                with pytest.raises(KeyboardInterrupt):
                    written.write_all(contents)
            else:
                written.write_all(contents)
    for choice in CHOICES:
        kept = open_run(tmp_path / "run", choice)
        assert find_thresholds(kept).reject_below in {before[choice].reject_below, expected[choice]}
        assert kept.read(kept.weights_file)


def test_commands_use_the_weights_that_the_option_chooses(run: Path, tmp_path: Path) -> None:
    losses = {}
    for choice in CHOICES:
        arguments = ["evaluate", str(run), "--split", "validation", "--json", "--weights", choice]
        ended = CliRunner().invoke(shardmill, arguments)
        assert ended.exit_code == 0, ended.output
        losses[choice] = json.loads(ended.stdout)["loss"]
    assert losses["best"] < losses["last"]


def test_last_weights_of_a_run_without_them_are_an_error(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    for name in ("last.weights.h5", "last.thresholds.json"):
        (tmp_path / "run" / name).unlink()
    open_run(tmp_path / "run")
    with pytest.raises(InputNotFoundError, match="omit --weights last"):
        open_run(tmp_path / "run", "last")


@pytest.mark.slow
def test_batch_normalization_of_a_short_run_validates_as_it_trains(
    shapes: Path, tmp_path: Path
) -> None:
    options = msgspec.structs.replace(
        RUN_OPTIONS, model="cnn-bn", epochs=3, dropout=0.0, learning_rate=1e-3
    )
    result = run_plan(plan_training(shapes, tmp_path / "run", options))
    assert result.val_accuracy is not None
    assert result.accuracy is not None
    assert result.val_accuracy > result.accuracy - 0.1
