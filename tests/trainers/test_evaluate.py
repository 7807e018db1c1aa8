"""Evaluation measures what training measured, and says what it cannot measure."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import DamagedError, NoInputError, UsageError
from tests.trainers.conftest import LABELS, write_shapes
from trainers.run_folder import Run, open_run

if TYPE_CHECKING:
    from pathlib import Path

    from trainers.metrics import Evaluation


@pytest.fixture
def run(run_path: Path, tmp_path: Path) -> Run:
    """A copy of the trained run, to write to."""
    shutil.copytree(run_path, tmp_path / "run")
    return open_run(tmp_path / "run")


def measure(run: Run, target: Path | None = None, split: str | None = None) -> Evaluation:
    from trainers.evaluate import evaluate

    return evaluate(run, None if target is None else str(target), split, say=lambda _: None)


def test_validation_is_what_training_said(run: Run) -> None:
    evaluation = measure(run, split="validation")
    result = json.loads((run.path / "result.json").read_bytes())
    assert evaluation.images == result["validation_images"]
    assert evaluation.accuracy == pytest.approx(result["val_accuracy"])
    assert evaluation.loss == pytest.approx(result["val_loss"], rel=1e-4)


def test_test_is_measured_by_default_and_every_image_counts(run: Run, shapes: Path) -> None:
    evaluation = measure(run)
    confusion = np.array(evaluation.confusion)
    labels = [record.label for record in open_dataset(shapes)["test"]]
    assert (evaluation.split, evaluation.images) == ("test", 60)
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(labels))
    assert evaluation.accuracy == pytest.approx(confusion.trace() / 60)
    assert evaluation.accuracy > 0.8
    assert [figures.name for figures in evaluation.per_class] == list(LABELS)


def test_another_dataset_of_the_same_classes_can_be_measured(run: Run, tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"test": [range(300, 306)]})
    assert measure(run, tmp_path / "data").images == 6


def test_other_classes_are_refused(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "other")
    (tmp_path / "other" / "labels.txt").write_text("0:cat\n1:dog\n2:cow\n")
    with pytest.raises(UsageError, match="expected 3: cat, dog, cow, got 3: disc, square"):
        measure(open_run(tmp_path / "other"))


def test_a_dataset_that_has_moved_is_asked_for(run: Run, tmp_path: Path) -> None:
    config = msgspec.structs.replace(run.config, dataset=str(tmp_path / "gone"))
    with pytest.raises(NoInputError, match="shardmill evaluate RUN TARGET"):
        measure(Run(run.path, config, run.labels))


def test_a_damaged_record_is_named(run: Run, shapes: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(shapes, copy)
    shard = copy / "test-00001-of-00002.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DamagedError, match=r"test-00001-of-00002.tfrecord record 29"):
        measure(run, copy)


def write_link(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")


def write_external(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("data", (10,), "u1", external=[("/etc/passwd", 0, 10)])


def write_noise(path: Path) -> None:
    path.write_bytes(b"no weights")


def write_other_model(path: Path) -> None:
    from trainers.config import Architecture, ImageShape
    from trainers.models.network import build_network

    build_network(Architecture("cnn", ImageShape(16, 16), 3)).model.save_weights(path)


def drop_a_layer(path: Path) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        del file["layers"]["conv2d_1"]


@pytest.mark.parametrize(
    "damage", [write_link, write_external, write_noise, write_other_model, drop_a_layer]
)
def test_other_weights_are_refused(run: Run, damage: object) -> None:
    assert callable(damage)
    path = run.path / "model.weights.h5"
    damage(path)
    with pytest.raises(DamagedError, match=r"model\.weights\.h5: these are not the weights"):
        measure(run)
