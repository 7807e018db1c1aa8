"""Tests of complete runs on TensorFlow and JAX."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import CorruptDataError, OutputError, UsageError
from records.format.manifest import Counts, Generation, read_manifest
from records.format.tfrecord import frame_bytes, read_frames
from records.generations import encode_saved, replace_manifest
from records.images import ImageOptions
from records.storage import open_storage
from records.storage.ownership import write_own_files
from tests.trainers.backends import run_python
from tests.trainers.conftest import LABELS, RUN_OPTIONS, write_shapes
from trainers.config import ImageShape
from trainers.input.image_size import resolve_image_size
from trainers.input.selection import select_split
from trainers.models import MODELS
from trainers.options import TrainOptions
from trainers.options_file import encode_options
from trainers.runs.history import EpochMetrics
from trainers.runs.run_dir import open_run
from trainers.training.planning import TrainingPlan, plan_training
from trainers.training.progress import NullProgress

if TYPE_CHECKING:
    from trainers.runs.result import TrainingResult

SHORT = msgspec.structs.replace(RUN_OPTIONS, epochs=1)


def read_history(path: Path) -> list[EpochMetrics]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [EpochMetrics._make((int(row[0]), *map(float, row[1:]), {})) for row in rows]


def run_plan(plan: TrainingPlan, progress: NullProgress | None = None) -> TrainingResult:
    from trainers.training.train import train

    return train(plan, on_message=lambda _: None, progress=progress or NullProgress())


def weights_of(folder: Path) -> list[np.ndarray]:
    from trainers.models.load import load_model

    return [np.asarray(weight) for weight in load_model(open_run(folder)).get_weights()]


def test_train_on_an_earlier_generation_keeps_its_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_shapes(data, {"train": [range(20)], "test": [range(20, 26)]})
    storage = open_storage(data)
    base = read_manifest(storage)
    nothing = Generation(2, "0" * 32, {}, Counts(0, 0, 0, 0, 0))
    later = msgspec.structs.replace(base, generations=(*base.generations, nothing))
    write_own_files(storage, encode_saved(base))
    replace_manifest(storage, base, later)
    plan = plan_training(f"{data}@1", tmp_path / "run", SHORT)
    assert plan.config.dataset == f"{data}@1"
    assert plan.config.plan_digests == (base.generations[0].plan_digest,)
    with pytest.raises(UsageError, match="inside the dataset"):
        plan_training(f"{data}@1", data / "run", SHORT)


def test_train_finished_run_has_the_documented_files(run_path: Path) -> None:
    assert sorted(path.name for path in run_path.iterdir()) == [
        "checkpoints", "class_means.json", "config.json", "curves.png", "digests.json",
        "history.csv", "labels.txt", "last.thresholds.json", "last.weights.h5", "model.weights.h5",
        "options.toml", "result.json", "thresholds.json", "training_images.u64",
    ]  # fmt: skip
    run = open_run(run_path)
    assert run.is_finished
    assert run.labels == LABELS
    assert run.config.options == RUN_OPTIONS
    assert (run_path / "options.toml").read_bytes() == encode_options(RUN_OPTIONS)
    assert run.config.shape == ImageShape(24, 32)


def test_train_shapes_dataset_reaches_80_percent_accuracy(run_path: Path) -> None:
    result = json.loads((run_path / "result.json").read_bytes())
    assert result["accuracy"] > 0.8
    assert result["val_accuracy"] > 0.8
    assert result["training_images"] + result["validation_images"] == 150


def test_history_has_one_row_per_epoch(run_path: Path) -> None:
    with (run_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert set(rows[0]) == set(EpochMetrics._fields) - {"extra"}
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    last, result = read_history(run_path / "history.csv")[-1], (run_path / "result.json")
    assert last.val_accuracy == pytest.approx(json.loads(result.read_bytes())["val_accuracy"], 1e-4)
    assert last.learning_rate == pytest.approx(RUN_OPTIONS.learning_rate, rel=1e-4)


@pytest.mark.slow
def test_train_same_seed_with_disk_cache_gives_same_weights(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    changes: dict[str, dict[str, Any]] = {
        "first": {},
        "second": {"cache": "disk"},
        "other": {"seed": 9},
    }
    for name, change in changes.items():
        options = msgspec.structs.replace(SHORT, **change)
        run_plan(plan_training(shapes, tmp_path / name, options))
    first, second, other = (weights_of(tmp_path / name) for name in changes)
    for one, same, different in zip(first, second, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, different)
    assert len(list((tmp_path / "cache" / "shardmill" / "decoded").iterdir())) == 1


@pytest.mark.slow
def test_train_memory_cache_reduces_loss(shapes: Path, tmp_path: Path) -> None:
    options = msgspec.structs.replace(SHORT, cache="memory", epochs=2)
    result = run_plan(plan_training(shapes, tmp_path / "run", options))
    assert result.loss < 1.1


def test_train_batch_larger_than_the_dataset_has_the_size_of_the_dataset(
    shapes: Path, tmp_path: Path
) -> None:
    # Such a batch would need 768 GB for images of 16x16 px.
    options = TrainOptions(batch_size=10**9, image_size=(16, 16), epochs=2)
    result = run_plan(plan_training(shapes, tmp_path / "run", options))
    assert (result.epochs, result.steps) == (2, 2)
    assert (tmp_path / "run" / "class_means.json").exists()


def test_train_existing_run_is_refused(shapes: Path, run_path: Path) -> None:
    with pytest.raises(OutputError, match="contains a finished run"):
        plan_training(shapes, run_path, RUN_OPTIONS)


class Interrupting(NullProgress):
    """Presses Ctrl-C at the end of a step, or of an epoch."""

    def __init__(self, where: str) -> None:
        self._where = where

    def end_step(self, step: int, logs: dict[str, float]) -> None:
        if self._where == "step":
            raise KeyboardInterrupt

    def end_epoch(self, result: EpochMetrics) -> None:
        if self._where == "epoch":
            raise KeyboardInterrupt


def test_train_interrupted_in_first_epoch_leaves_nothing(shapes: Path, tmp_path: Path) -> None:
    plan = plan_training(shapes, tmp_path / "run", RUN_OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, Interrupting("step"))
    assert list(tmp_path.iterdir()) == []


def test_train_interrupted_after_first_epoch_keeps_weights_and_history(
    shapes: Path, tmp_path: Path
) -> None:
    plan = plan_training(shapes, tmp_path / "run", RUN_OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, Interrupting("epoch"))
    run = open_run(tmp_path / "run")
    assert not run.is_finished
    assert [result.epoch for result in read_history(Path(run.location) / "history.csv")] == [1]
    assert len(weights_of(Path(run.location))) == 10


def test_train_loss_nan_raises_error_and_removes_run(shapes: Path, tmp_path: Path) -> None:
    options = msgspec.structs.replace(RUN_OPTIONS, learning_rate=1e30)
    with pytest.raises(UsageError, match="try a --learning-rate below 1e"):
        run_plan(plan_training(shapes, tmp_path / "run", options))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["crc", "image"])
def test_train_damaged_record_is_reported_by_number_and_key(tmp_path: Path, damage: str) -> None:
    write_shapes(tmp_path / "data", {"train": [range(20), range(20, 40)], "test": [[40]]})
    dataset = open_dataset(tmp_path / "data")
    record = dataset["train"][27]
    shard = tmp_path / "data" / "train-00001-of-00002.tfrecord"
    content = shard.read_bytes()
    if damage == "crc":
        shard.write_bytes(content.replace(record.image, record.image[:-9] + b"123456789"))
    else:
        broken = (
            record.image[:-20] + bytes(20) if record.format == "png" else bytes(len(record.image))
        )
        rewrite(shard, content, record.image, broken)
    with pytest.raises(CorruptDataError) as caught:
        run_plan(plan_training(tmp_path / "data", tmp_path / "run", SHORT))
    assert "train-00001-of-00002.tfrecord record 7" in str(caught.value)
    assert "shardmill verify" in str(caught.value)
    assert record.key in str(caught.value)
    assert not (tmp_path / "run").exists()


def rewrite(shard: Path, content: bytes, image: bytes, broken: bytes) -> None:
    """Replace an image in a shard by one of the same length, with valid checksums."""
    payloads = [frame.payload for frame in read_frames(io.BytesIO(content))]
    shard.write_bytes(b"".join(frame_bytes(payload.replace(image, broken)) for payload in payloads))


def test_plan_training_shard_missing_or_of_wrong_size_is_refused(
    shapes: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(shapes, copy)
    shard = copy / "train-00000-of-00003.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CorruptDataError, match=r"00003.tfrecord: the size of a shard differs"):
        plan_training(copy, tmp_path / "run", SHORT)
    shard.unlink()
    with pytest.raises(
        CorruptDataError, match=r"train-00000-of-00003.tfrecord: a shard is missing"
    ):
        plan_training(copy, tmp_path / "run", SHORT)


def shape_for(
    folder: Path, splits: list[range], options: ImageOptions | None = None
) -> tuple[int, int, int]:
    write_shapes(folder, {"train": splits}, options)
    dataset = open_dataset(folder)
    train = select_split(dataset, "train")
    return resolve_image_size(dataset, train, None, MODELS["cnn"]).array_shape


def test_resolve_image_size_uniform_dataset_gives_its_size(tmp_path: Path) -> None:
    assert shape_for(tmp_path / "a", [range(9)]) == (180, 180, 3)
    assert shape_for(tmp_path / "b", [range(9)], ImageOptions(resize=(30, 20))) == (20, 30, 3)
    one_size = [range(5, 6)]
    image = open_dataset_image_size(tmp_path / "c", one_size)
    assert shape_for(tmp_path / "d", one_size) == (*image, 3)
    grey = ImageOptions(resize=(200, 190), channels=1)
    assert shape_for(tmp_path / "e", [range(3)], grey) == (190, 200, 1)
    tiny = ImageOptions(resize=(5, 20))
    assert shape_for(tmp_path / "f", [range(3)], tiny) == (20, 8, 3)


def open_dataset_image_size(folder: Path, splits: list[range]) -> tuple[int, int]:
    write_shapes(folder, {"train": splits})
    record = open_dataset(folder)["train"][0]
    return record.height, record.width


def test_plan_training_image_size_option_is_used_or_refused(shapes: Path, tmp_path: Path) -> None:
    plan = plan_training(shapes, tmp_path / "run", TrainOptions(image_size=(8, 9)))
    assert plan.config.shape == ImageShape(8, 9)
    with pytest.raises(UsageError, match="of at least 8 px, got 7x9"):
        plan_training(shapes, tmp_path / "run", TrainOptions(image_size=(7, 9)))


def test_plan_training_memory_cache_too_large_is_refused(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = msgspec.structs.replace(SHORT, cache="memory")
    monkeypatch.setattr(
        "trainers.training.planning.make_plan.os.sysconf",
        {"SC_PHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}.get,
    )
    with pytest.raises(UsageError, match="use --cache disk"):
        plan_training(shapes, tmp_path / "run", options)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_plan_training_invalid_learning_rate_is_refused(
    shapes: Path, tmp_path: Path, rate: float
) -> None:
    with pytest.raises(UsageError, match="larger than 0"):
        plan_training(shapes, tmp_path / "run", TrainOptions(learning_rate=rate))


def test_plan_training_notes_holdout_and_missing_classes(shapes: Path, tmp_path: Path) -> None:
    notes = "\n".join(plan_training(shapes, tmp_path / "run", SHORT).notes)
    assert "of 150 images of train for validation, chosen by the hash of their keys" in notes
    write_shapes(tmp_path / "data", {"train": [[0, 3, 6]], "validation": [[1, 4]]})
    notes = "\n".join(plan_training(tmp_path / "data", tmp_path / "run", SHORT).notes)
    assert "validating on 2 images of validation" in notes
    assert "classes without training images: square, $x_{ b$" in notes


JAX_TRAINING = """
import sys
from pathlib import Path
from trainers.options import TrainOptions
from trainers.backend import start_backend
print(start_backend())
from trainers.training.planning import plan_training
from trainers.training.train import train
options = TrainOptions(epochs=3, batch_size=8, image_size=(24, 32), learning_rate=3e-3, seed=3)
print(train(plan_training(sys.argv[1], sys.argv[2], options), on_message=print))
"""


@pytest.mark.slow
def test_train_on_jax_writes_weights_readable_by_tensorflow(shapes: Path, tmp_path: Path) -> None:
    printed = run_python("-c", JAX_TRAINING, shapes, tmp_path / "run")
    assert printed.startswith("JAX ")
    assert re.findall(r"^epoch (\d)/3  accuracy", printed, re.MULTILINE) == ["1", "2", "3"]
    assert json.loads((tmp_path / "run" / "result.json").read_bytes())["accuracy"] > 0.6
    assert len(weights_of(tmp_path / "run")) == 10
