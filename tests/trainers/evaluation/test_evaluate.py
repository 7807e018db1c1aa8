"""Evaluation measures what training measured, and says what it cannot measure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format.label_map import parse_labels
from records.images import ImageOptions
from tests.trainers.conftest import LABELS, write_shapes
from trainers.config import FORMAT_VERSION, Architecture, ImageShape, RunConfig
from trainers.evaluation.evaluate import (
    EvaluationPlan,
    evaluate,
    evaluate_plan,
    plan_evaluation,
)
from trainers.evaluation.metrics import Evaluation
from trainers.evaluation.mistakes import locate_records, read_mistakes
from trainers.options import TrainOptions
from trainers.runs.create import create_run
from trainers.runs.run_dir import WEIGHTS, Run, open_run
from trainers.tasks.classification import softmax


@pytest.fixture
def run(run_path: Path, tmp_path: Path) -> Run:
    """A copy of the trained run, to write to."""
    shutil.copytree(run_path, tmp_path / "run")
    return open_run(tmp_path / "run")


def measure(run: Run, target: Path | None = None, split: str | None = None) -> Evaluation:
    return measure_plan(plan_evaluation(run, target, split))


def measure_plan(plan: EvaluationPlan) -> Evaluation:
    found = evaluate_plan(plan, mistakes=100)
    assert isinstance(found, Evaluation)
    return found


def test_evaluate_validation_split_equals_training_metrics(run: Run) -> None:
    evaluation = measure(run, split="validation")
    result = json.loads((Path(run.location) / "result.json").read_bytes())
    assert evaluation.images == result["validation_images"]
    assert evaluation.accuracy == pytest.approx(result["val_accuracy"])
    assert evaluation.loss == pytest.approx(result["val_loss"], rel=1e-4, abs=1e-8)


def test_evaluate_takes_paths_and_opened_datasets(run_path: Path, shapes: Path) -> None:
    found = evaluate(run_path)
    assert isinstance(found, Evaluation)
    assert found == evaluate(str(run_path), open_dataset(shapes), "test")
    assert found.mistakes == ()
    with pytest.raises(AttributeError):
        found.accuracy = 1.0  # type: ignore[misc]
    screen = repr(found)
    assert screen.startswith("Evaluation on test: 60 images")
    assert f"accuracy {found.accuracy:.1%}" in screen
    assert len(screen.splitlines()) < 25


def test_evaluate_default_split_is_test_and_counts_every_image(run: Run, shapes: Path) -> None:
    evaluation = measure(run)
    confusion = np.array(evaluation.confusion)
    labels = [record.label for record in open_dataset(shapes)["test"]]
    assert (evaluation.split, evaluation.images) == ("test", 60)
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(labels))
    assert evaluation.accuracy == pytest.approx(confusion.trace() / 60)
    assert evaluation.accuracy > 0.8
    assert [figures.name for figures in evaluation.per_class] == list(LABELS)


def test_evaluate_other_dataset_of_same_classes_is_accepted(run: Run, tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"test": [range(300, 306)]})
    assert measure(run, tmp_path / "data").images == 6


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> EvaluationPlan:
    """A model that knows nothing, and every image of `train`, in shards of unequal length."""
    from trainers.models.build import build_network
    from trainers.models.weights_file import encode_weights

    folder: Path = tmp_path_factory.mktemp("untrained")
    write_shapes(folder / "data", {"train": [range(31), range(31, 40), range(40, 75), [75]]})
    architecture = Architecture("cnn", ImageShape(16, 24), classes=3)
    config = RunConfig(
        FORMAT_VERSION,
        TrainOptions(batch_size=7),
        architecture,
        1e-3,
        ImageOptions(),
        dataset=str(folder / "data"),
        plan_digests=(),
    )
    run = create_run(folder / "run", config, LABELS)
    run.write(WEIGHTS, encode_weights(build_network(architecture).model))
    return plan_evaluation(run, split="train")


def test_mistakes_locations_point_to_their_records(untrained: EvaluationPlan) -> None:
    from trainers.evaluation.pictures import decode_mistakes
    from trainers.models.load import load_model

    evaluation = measure_plan(untrained)
    wrong = evaluation.images - np.array(evaluation.confusion).trace()
    assert len(evaluation.mistakes) == wrong > 10
    assert len({mistake.shard for mistake in evaluation.mistakes}) > 2
    records = read_mistakes(untrained.dataset, untrained.selection, evaluation.mistakes)
    stored = {record.key: record for record in untrained.dataset["train"]}
    logits = load_model(untrained.run).predict(
        decode_mistakes(untrained, evaluation.mistakes), verbose=0
    )
    scores = softmax(logits)
    for mistake, record, row in zip(evaluation.mistakes, records, scores, strict=True):
        assert (record.key, record.class_name) == (mistake.key, mistake.class_name)
        assert record == stored[mistake.key]
        assert LABELS[row.argmax()] == mistake.predicted != mistake.class_name
        assert row.max() == pytest.approx(mistake.score, abs=1e-6)
    ranked = [mistake.score for mistake in evaluation.mistakes]
    assert ranked == sorted(ranked, reverse=True)


def test_draw_pictures_writes_files_named_after_split(untrained: EvaluationPlan) -> None:
    from trainers.evaluation.pictures import draw_pictures

    names = {f"{what}-train.png" for what in ("confusion", "calibration", "mistakes")}
    lines = list(draw_pictures(untrained, measure_plan(untrained)))
    assert {line.rpartition("/")[2] for line in lines} == names
    for name in names:
        assert (Path(untrained.run.location) / name).read_bytes().startswith(b"\x89PNG")


def test_locate_key_missing_from_index_raises_corrupt_data_error(untrained: EvaluationPlan) -> None:
    with pytest.raises(CorruptDataError, match=r"no index contains the record square/nothing\.png"):
        locate_records(untrained.dataset, untrained.selection, [b"square/nothing.png"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("0:cat\n1:dog\n", "different numbers of classes, expected 2: cat, dog, got 3: disc"),
        ("0:disc\n1:dog\n2:x\n", "differ at label 1, expected dog, got square"),
    ],
)
def test_evaluate_different_classes_are_refused(run: Run, labels: str, message: str) -> None:
    other = Run(run.folder, run.config, parse_labels(labels.encode(), path="labels.txt"))
    with pytest.raises(UsageError, match=message):
        plan_evaluation(other)


def test_evaluate_missing_split_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(30)]})
    with pytest.raises(UsageError, match="the dataset has no split test, got train"):
        plan_evaluation(run, tmp_path / "data", "test")


def test_evaluate_dataset_not_found_is_refused_with_hint(run: Run, tmp_path: Path) -> None:
    config = msgspec.structs.replace(run.config, dataset=str(tmp_path / "gone"))
    with pytest.raises(InputNotFoundError, match="shardmill evaluate RUN DATASET"):
        plan_evaluation(Run(run.folder, config, run.labels))


def test_evaluate_damaged_record_is_reported_by_number(
    run: Run, shapes: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(shapes, copy)
    shard = copy / "test-00001-of-00002.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"test-00001-of-00002.tfrecord record 29"):
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
    from trainers.models.build import build_network

    build_network(Architecture("cnn", ImageShape(16, 16), 3)).model.save_weights(path)


def drop_a_layer(path: Path) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        del file["layers"]["conv2d_1"]


@pytest.mark.parametrize(
    "damage", [write_link, write_external, write_noise, write_other_model, drop_a_layer]
)
def test_evaluate_invalid_weights_file_is_refused(run: Run, damage: object) -> None:
    assert callable(damage)
    path = Path(run.location) / "model.weights.h5"
    damage(path)
    run.write(WEIGHTS, path.read_bytes())
    with pytest.raises(
        CorruptDataError,
        match=r"model\.weights\.h5: (the weights do not fit|not a valid weights file)",
    ):
        measure(run)
