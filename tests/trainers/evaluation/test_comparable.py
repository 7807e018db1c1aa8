"""A dataset measures a run only with images that are prepared alike and were not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

import shardmill as sm
from records.dataset import Dataset, open_dataset
from records.errors import CorruptDataError, UsageError
from records.images import ImageOptions
from tests.datasets import encode_picture
from trainers.config import FORMAT_VERSION, Architecture, ImageShape, RunConfig
from trainers.evaluation.comparable import leave_out_trained, require_same_preparation
from trainers.evaluation.evaluate import plan_evaluation
from trainers.input.selection import hash_images, select_for_evaluation, select_for_training
from trainers.options import TrainOptions
from trainers.runs.create import create_run
from trainers.runs.run_dir import TRAINING_IMAGES, Run
from trainers.runs.trained_images import read_trained_images, write_trained_images

if TYPE_CHECKING:
    from trainers.input.selection import Selection


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("source")
    for number in range(80):
        path = folder / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode_picture(number))
    return folder


def convert(source: Path, output: Path, **given: Any) -> Dataset:
    sm.convert(source, output, **{"test": 0.3, **given})
    return open_dataset(output)


def make_run(folder: Path, dataset: Dataset, images: ImageOptions | None = None) -> Run:
    config = RunConfig(
        FORMAT_VERSION,
        TrainOptions(),
        Architecture("cnn", ImageShape(8, 8), len(dataset.labels)),
        1e-3,
        images or dataset.manifest.settings.images,
        dataset=dataset.path,
        plan_digests=tuple(part.plan_digest for part in dataset.manifest.generations),
    )
    run = create_run(folder, config, dataset.labels)
    training, _ = select_for_training(dataset, None)
    pairs = zip(hash_images(dataset, training), training.shard_masks, strict=True)
    write_trained_images(run, [found[chosen] for found, chosen in pairs])
    return run


def keys(dataset: Dataset, selection: Selection) -> set[str]:
    mask = np.concatenate(selection.shard_masks)
    pairs = zip(dataset[selection.split], mask, strict=True)
    return {record.key for record, kept in pairs if kept}


def test_evaluate_same_dataset_leaves_out_nothing(source: Path, tmp_path: Path) -> None:
    dataset = convert(source, tmp_path / "data")
    plan = plan_evaluation(make_run(tmp_path / "run", dataset), dataset)
    assert (plan.excluded_images, plan.notes) == (0, ())
    assert plan.selection.records == len(dataset["test"])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_evaluate_dataset_split_anew_leaves_out_what_was_trained_on(
    source: Path, tmp_path: Path, seed: int
) -> None:
    before = convert(source, tmp_path / "before")
    run = make_run(tmp_path / "run", before)
    training, _ = select_for_training(before, None)
    renamed = tmp_path / "renamed"
    for path in source.rglob("*.png"):  # the names do not matter
        moved = renamed / path.parent.name / f"sub {seed}" / f"new {path.name}"
        moved.parent.mkdir(parents=True, exist_ok=True)
        moved.write_bytes(path.read_bytes())
    after = convert(renamed, tmp_path / "after", seed=seed)
    plan = plan_evaluation(run, after)
    was_trained = {key.rpartition("/")[2] for key in keys(before, training)}
    measured = {key.rpartition("new ")[2] for key in keys(after, plan.selection)}
    every = {record.key.rpartition("new ")[2] for record in after["test"]}
    assert measured == every - was_trained
    assert plan.excluded_images == len(every) - len(measured) > 0
    assert f"leaving out {plan.excluded_images} image" in plan.notes[0]


def test_evaluate_train_split_is_measured_as_it_is(source: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", convert(source, tmp_path / "before"))
    after = convert(source, tmp_path / "after", seed=1)
    plan = plan_evaluation(run, after, "train")
    assert plan.selection.records == len(after["train"])


def test_evaluate_only_trained_images_is_refused(source: Path, tmp_path: Path) -> None:
    dataset = convert(source, tmp_path / "data")
    run = make_run(tmp_path / "run", dataset)
    write_trained_images(run, hash_images(dataset, select_for_evaluation(dataset, "test")))
    other = msgspec.structs.replace(run.config, plan_digests=("0" * 32,))
    with pytest.raises(UsageError, match="the run trained on every image of test"):
        plan_evaluation(Run(run.folder, other, run.labels), dataset)


def test_evaluate_run_without_record_of_its_images_is_noted(source: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", convert(source, tmp_path / "before"))
    (Path(run.location) / TRAINING_IMAGES).unlink()
    after = convert(source, tmp_path / "after", seed=1)
    found = leave_out_trained(run, after, select_for_evaluation(after, "test"))
    assert found.excluded == 0
    assert "no record of its training images" in found.notes[0]


@pytest.mark.parametrize("content", [b"1234567", b"\2" + bytes(7) + b"\1" + bytes(7), bytes(16)])
def test_read_trained_images_damaged_file_is_refused(
    source: Path, tmp_path: Path, content: bytes
) -> None:
    run = make_run(tmp_path / "run", convert(source, tmp_path / "data"))
    run.write(TRAINING_IMAGES, content)
    with pytest.raises(CorruptDataError, match="record of the training images is damaged"):
        read_trained_images(run)


PREPARATIONS = [
    ({"resize": 4}, "--resize 4x4"),
    ({"resize": (4, 6)}, "--resize 4x6"),
    ({"resize": 4, "fit": "crop"}, "--fit crop"),
    ({"channels": 1}, "--channels 1"),
    ({"store": "jpeg"}, "--store jpeg"),
    ({"store": "jpeg", "jpeg_quality": 20}, "--jpeg-quality 20"),
    ({"background": "000000"}, "--background 000000"),
]


@pytest.mark.parametrize(("options", "named"), PREPARATIONS)
def test_evaluate_images_prepared_otherwise_is_refused_and_named(
    source: Path, tmp_path: Path, options: dict[str, Any], named: str
) -> None:
    size = options.get("resize")
    images = ImageOptions(**{**options, "resize": (size, size) if isinstance(size, int) else size})
    plain = convert(source, tmp_path / "data")
    with pytest.raises(UsageError, match="not prepared like") as caught:
        require_same_preparation(make_run(tmp_path / "run", plain, images), plain)
    assert named in str(caught.value.hint)
    prepared = convert(source, tmp_path / "prepared", **options)
    require_same_preparation(make_run(tmp_path / "other", prepared), prepared)
    with pytest.raises(UsageError, match="not prepared like") as caught:
        require_same_preparation(make_run(tmp_path / "third", plain), prepared)
    assert (named if "fit" not in options else "--resize 4x4") in str(caught.value.got)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ImageOptions(check="header"), ImageOptions(max_pixels=10_000)),
        (ImageOptions(store="png"), ImageOptions(store="png", jpeg_quality=20)),
        (ImageOptions(resize=(8, 8), store="raw"), ImageOptions(resize=(8, 8), store="png")),
        (ImageOptions(background="ffffff"), ImageOptions(background="FFFFFF")),
    ],
)
def test_evaluate_options_that_change_no_pixel_are_accepted(
    source: Path, tmp_path: Path, one: ImageOptions, other: ImageOptions
) -> None:
    dataset = convert(source, tmp_path / "data")
    settings = msgspec.structs.replace(dataset.manifest.settings, images=other)
    manifest = msgspec.structs.replace(dataset.manifest, settings=settings)
    changed = Dataset(dataset.storage, manifest)
    require_same_preparation(make_run(tmp_path / "run", dataset, one), changed)
