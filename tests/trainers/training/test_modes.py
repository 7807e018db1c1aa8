"""Tests of transfer, finetune, early stopping, class weights and skipping."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import CorruptDataError
from tests.trainers.conftest import write_shapes
from tests.trainers.training.test_resume import read_weights, run_plan
from trainers.evaluation import Evaluation
from trainers.options import Augmentation, TrainOptions
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path


SMALL = TrainOptions(batch_size=8, image_size=(32, 32), epochs=2, seed=1)
BASE = msgspec.structs.replace(SMALL, model="vgg16", weights="none")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_shapes(
        tmp_path / "data", {"train": [range(16), range(16, 30)], "validation": [range(30, 40)]}
    )
    return tmp_path / "data"


def change(options: TrainOptions, **changes: object) -> TrainOptions:
    return msgspec.structs.replace(options, **changes)


def evaluate_run(path: Path) -> Evaluation:
    from trainers.evaluation import evaluate

    found = evaluate(path)
    assert isinstance(found, Evaluation)
    return found


def test_train_transfer_trains_head_from_cached_features(
    data: Path, tmp_path: Path, cache: Path
) -> None:
    options = change(BASE, mode="transfer", head_units=16, head_dropout=0.2)
    told: list[str] = []
    for name in ("first", "second"):
        from trainers.training.progress import NullProgress
        from trainers.training.train import train

        train(
            plan_training(data, tmp_path / name, options),
            on_message=told.append,
            progress=NullProgress(),
        )
    assert [line.split(" in ")[0] for line in told if "features" in line] == [
        "keeping features", "features are kept",
    ]  # fmt: skip
    first, second = (read_weights(tmp_path / name) for name in ("first", "second"))
    for name, weights in first.items():
        np.testing.assert_array_equal(weights, second[name])
    result = json.loads((tmp_path / "first" / "result.json").read_bytes())
    assert result["parameters"] == 14_714_688 + 512 * 16 + 16 + 16 * 3 + 3
    assert result["trained_parameters"] == 512 * 16 + 16 + 16 * 3 + 3
    # The run predicts from images, like any other.
    evaluation = evaluate_run(tmp_path / "first")
    assert evaluation.images == 10
    assert evaluation.accuracy == pytest.approx(result["val_accuracy"], abs=1e-6)
    assert evaluation.loss == pytest.approx(result["val_loss"], abs=2e-3)


@pytest.mark.slow
def test_train_finetune_trains_head_then_unfrozen_layers(data: Path, tmp_path: Path) -> None:
    options = change(
        BASE, mode="finetune", head_epochs=1, epochs=1, unfreeze=4, learning_rate=1e-3,
        augment=Augmentation(flip="horizontal"),
    )  # fmt: skip
    result = run_plan(plan_training(data, tmp_path / "run", options))
    with (tmp_path / "run" / "history.csv").open(newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([1e-3, 1e-3])
    assert result.epochs == 2
    # The three convolutions of the last block; the fourth layer is its pooling.
    assert result.trained_parameters == 3 * (9 * 512 * 512 + 512) + 512 * 3 + 3


@pytest.mark.slow
def test_resume_finetune_stopped_in_second_phase_gives_same_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.training.loop import TrainingLoop

    options = change(BASE, mode="finetune", head_epochs=1, epochs=1, unfreeze=4, checkpoint_steps=2)
    begin_step = TrainingLoop.begin_step

    def stop(loop: TrainingLoop, setup: object, at: int) -> None:
        begin_step(loop, setup, at)  # type: ignore[arg-type]
        if at == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "begin_step", stop)
        with pytest.raises(KeyboardInterrupt):
            run_plan(plan_training(data, tmp_path / "run", options))
    run_plan(plan_training(data, tmp_path / "run", options, resume=True))
    run_plan(plan_training(data, tmp_path / "whole", options))
    whole, resumed = read_weights(tmp_path / "whole"), read_weights(tmp_path / "run")
    for name, weights in whole.items():
        np.testing.assert_array_equal(weights, resumed[name], err_msg=name)


@pytest.mark.slow
def test_early_stopping_no_improvement_stops_after_patience_with_best_weights(
    data: Path, tmp_path: Path
) -> None:
    from trainers.training.train import train

    options = change(SMALL, epochs=30, early_stopping=2, learning_rate=0.02)
    messages: list[str] = []
    result = train(plan_training(data, tmp_path / "run", options), on_message=messages.append)
    with (tmp_path / "run" / "history.csv").open(newline="") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    best = int(np.argmin(losses)) + 1
    assert result.weights_epoch == best
    assert result.epochs == min(best + 2, 30)
    told = f"early stopping after epoch {best + 2}: the validation loss was lowest in epoch {best}"
    assert result.stopped_early == (best + 2 < 30)
    assert result.stopped_early == any(message.startswith(told) for message in messages)
    evaluation = evaluate_run(tmp_path / "run")
    assert evaluation.loss == pytest.approx(result.val_loss, rel=1e-4)


@pytest.mark.slow
def test_class_weights_balanced_lowers_loss_of_rare_class(tmp_path: Path) -> None:
    many, few = [number for number in range(90) if number % 3 == 0], [1, 4]
    write_shapes(tmp_path / "data", {"train": [[*many, *few]], "validation": [[91, 94]]})
    options = change(SMALL, epochs=3)
    losses = {}
    for balance in ("none", "balanced"):
        plan = plan_training(
            tmp_path / "data", tmp_path / balance, change(options, class_weights=balance)
        )
        losses[balance] = run_plan(plan).val_loss
    assert losses["balanced"] < losses["none"]


def test_tensorboard_option_writes_every_epoch(data: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    run_plan(plan_training(data, tmp_path / "run", change(SMALL, tensorboard=True)))
    (path,) = (tmp_path / "run" / "tensorboard").iterdir()
    events = [
        (event.step, value.tag)
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]
    assert [step for step, tag in events if tag == "epoch/val_loss"] == [4, 8]


def damage(data: Path, split: str, number: int, *, cut: bool = False) -> str:
    """Spoil a record of a split's first shard, or all from it on; the key of that record."""
    dataset = open_dataset(data)
    record = dataset[split][number]  # type: ignore[index]
    shard = data / dataset[split].info.shards[0].name  # type: ignore[index]
    content = shard.read_bytes()
    place = content.index(record.image)
    if cut:
        shard.write_bytes(content[:place])
    else:
        shard.write_bytes(content[: place + 5] + b"\xff\x00\xff" + content[place + 8 :])
    return record.key


def test_skip_bad_damaged_records_are_skipped_and_logged(data: Path, tmp_path: Path) -> None:
    keys = [
        damage(data, "train", 3),
        damage(data, "validation", 2),
        damage(data, "train", 14, cut=True),
    ]
    told: list[str] = []
    from trainers.training.progress import NullProgress
    from trainers.training.train import train

    plan = plan_training(data, tmp_path / "run", change(SMALL, skip_bad=4))
    result = train(plan, on_message=told.append, progress=NullProgress())
    skipped = [line for line in told if line.startswith("skipped: ")]
    assert result.damaged_records == len(skipped) == 4
    assert result.steps == 8
    for key in keys:
        assert any(key in line for line in skipped)


def test_skip_bad_limit_exceeded_fails_and_removes_run(data: Path, tmp_path: Path) -> None:
    key = damage(data, "train", 3)
    damage(data, "train", 5)
    with pytest.raises(CorruptDataError, match=f"{key}.*--skip-bad 1"):
        run_plan(plan_training(data, tmp_path / "run", change(SMALL, skip_bad=1)))
    assert not (tmp_path / "run").exists()
