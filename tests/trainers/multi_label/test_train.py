"""Runs on any number of labels per image: their files, figures, options and modes."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import UsageError
from records.storage import open_storage
from tests.trainers.backends import run_python
from tests.trainers.drawn import SHAPES
from tests.trainers.training.test_resume import StopAt, read_weights, run_plan
from trainers.evaluation.evaluate import plan_evaluation, score_batches
from trainers.evaluation.label_metrics import average_precision
from trainers.features.manifest import read_manifest
from trainers.input.selection import count_classes, select_split
from trainers.input.tensor_files import ArraySource
from trainers.models.registry import register_model
from trainers.options import Augmentation, TrainOptions
from trainers.runs.run_dir import open_run
from trainers.runs.thresholds import read_thresholds
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = [
    "epoch", "loss", "val_loss", "learning_rate", "binary_accuracy", "val_binary_accuracy",
    "val_mean_average_precision", "seconds",
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("own_cache")


def change(**changes: object) -> TrainOptions:
    small = msgspec.structs.replace(SHAPES.options, epochs=2)
    return msgspec.structs.replace(small, **changes)


def test_train_run_has_task_metrics_and_thresholds(drawn_run: Path) -> None:
    run = open_run(drawn_run)
    assert run.config.task == "multi-label"
    assert len(read_thresholds(run)) == 3
    with (drawn_run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    result = json.loads((drawn_run / "result.json").read_bytes())
    assert (result["task"], result["accuracy"], result["val_accuracy"]) == (
        "multi-label", None, None,
    )  # fmt: skip
    for name in ("binary_accuracy", "val_binary_accuracy", "val_mean_average_precision"):
        assert float(rows[-1][name]) == pytest.approx(result["metrics"][name], rel=1e-5)
    assert float(rows[-1]["val_mean_average_precision"]) > 0.8


def test_count_classes_counts_each_label_of_an_image(drawn_data: Path) -> None:
    dataset = open_dataset(drawn_data)
    counts = count_classes(dataset, select_split(dataset, "train")).tolist()
    assert counts == list(dataset["train"].info.class_records)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"class_weights": "balanced", "label_smoothing": 0.1},
        {"augment": Augmentation(flip="horizontal", crop=0.7)},
        {"augment": Augmentation(mixup=0.4, cutmix=1), "class_weights": "balanced"},
        {"cache": "memory"},
        {"cache": "disk"},
        {"early_stopping": 1, "epochs": 3},
    ],
    ids="-".join,
)
def test_train_options_apply_to_several_labels(
    few: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    result = run_plan(plan_training(few, tmp_path / "run", change(**changes)))
    assert 0 < result.metrics["val_mean_average_precision"] <= 1


@pytest.mark.slow
def test_train_caches_give_weights_of_streaming(few: Path, tmp_path: Path) -> None:
    weights = []
    for name in ("none", "disk"):
        run_plan(plan_training(few, tmp_path / name, change(cache=name, epochs=1)))
        weights.append(read_weights(tmp_path / name))
    for name, values in weights[0].items():
        np.testing.assert_allclose(values, weights[1][name], atol=1e-6)


@pytest.mark.slow
def test_train_interrupted_and_resumed_run_has_same_result(few: Path, tmp_path: Path) -> None:
    options = change(checkpoint_steps=2)
    whole = run_plan(plan_training(few, tmp_path / "whole", options))
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(few, tmp_path / "part", options), StopAt(1))
    rest = run_plan(plan_training(few, tmp_path / "part", options, resume=True))
    assert rest.metrics == pytest.approx(whole.metrics)
    thresholds = [read_thresholds(open_run(tmp_path / name)) for name in ("whole", "part")]
    assert thresholds[0] == thresholds[1]


@pytest.mark.slow
def test_train_transfer_reads_multi_hot_labels_from_features(few: Path, tmp_path: Path) -> None:
    options = change(model="vgg16", weights="none", mode="transfer", image_size=(32, 32))
    plan = plan_training(few, tmp_path / "run", options)
    assert run_plan(plan).metrics["val_mean_average_precision"] > 0
    (source,) = {path.parent for path in (tmp_path / "cache").rglob("*.arrays")}
    manifest = read_manifest(open_storage(source))
    assert manifest is not None
    assert manifest.spec.multi_hot == 3
    arrays = ArraySource(source, manifest.spec.format)
    stored = [arrays.load(shard)["label"] for shard in plan.training.shards]
    records = open_dataset(few)["train"]
    expected = [[label in record.labels for label in range(3)] for record in records]
    np.testing.assert_array_equal(np.concatenate(stored), expected)


@pytest.mark.slow
def test_featurize_named_store_serves_transfer(few: Path, tmp_path: Path) -> None:
    import shardmill

    store = tmp_path / "features"
    options: dict[str, Any] = {"model": "vgg16", "weights": "none", "image_size": (32, 32)}
    report = shardmill.featurize(few, store, **options)
    assert report.images == 48
    trained = shardmill.train(
        few, tmp_path / "run", mode="transfer", features=store, epochs=1, **options
    )
    assert trained.task == "multi-label"


@pytest.mark.slow
def test_train_own_loss_with_class_weights_is_an_error(few: Path, tmp_path: Path) -> None:
    import keras

    def build(image_shape: tuple[int, int, int], classes: int) -> keras.Model:
        image = keras.Input(image_shape)
        pooled = keras.layers.GlobalAveragePooling2D()(image)
        return keras.Model(image, keras.layers.Dense(classes)(pooled))

    register_model(
        "own_loss",
        build,
        image_size=(32, 32),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    options = change(model="own_loss", class_weights="balanced")
    with pytest.raises(UsageError, match="cannot balance several labels per image"):
        plan_training(few, tmp_path / "run", options)
    result = run_plan(plan_training(few, tmp_path / "run", change(model="own_loss", epochs=1)))
    assert result.metrics["val_mean_average_precision"] > 0


def test_plan_training_balanced_several_labels_is_an_error(few: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be drawn.*use --class-weights balanced"):
        plan_training(few, tmp_path / "run", change(balanced=True))


_ON_JAX = """
import sys
from trainers.options import TrainOptions
from trainers.training.planning import plan_training
from trainers.training.train import train

options = TrainOptions(epochs=1, batch_size=8, learning_rate=2e-3, seed=3)
result = train(plan_training(sys.argv[1], sys.argv[2], options))
print(result.metrics["val_mean_average_precision"])
"""


@pytest.mark.slow
def test_train_on_jax_has_metrics_of_evaluation_on_tensorflow(few: Path, tmp_path: Path) -> None:
    from trainers.models.load import load_model

    printed = run_python("-c", _ON_JAX, few, tmp_path / "run")
    plan = plan_evaluation(open_run(tmp_path / "run"), split="validation")
    batches = list(score_batches(plan, load_model(plan.run)))
    # Training counts logits in bins, in which most logits are equal after one epoch.
    logits = np.floor(np.concatenate([batch[0] for batch in batches]) * 32)
    labels = np.concatenate([batch[1] for batch in batches]) > 0
    found = [average_precision(logits[:, label], labels[:, label]) or 0.0 for label in range(3)]
    assert np.mean(found) == pytest.approx(float(printed.splitlines()[-1]), abs=0.02)
