"""Batches whose labels are the values of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shardmill
from records.errors import UsageError
from tests.trainers.drawn import convert_list, draw_disc

if TYPE_CHECKING:
    from pathlib import Path

    import tensorflow as tf

AGES = ["1.5", "2", "", "-4", "5.25", "6", "", "8", "9.125", "10", "11"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        # Each image differs, so that the tests recognize it.
        (draw_disc(number)[0], f"{age},{number},{'x' if number % 2 else 'y'}")
        for number, age in enumerate(AGES)
    ]
    folder, columns = tmp_path_factory.mktemp("ages"), "age,whole,word"
    return convert_list(
        folder, columns, rows, target_column="age", keep_columns="whole,word", shards=2
    )


@pytest.fixture(scope="module")
def expected(dataset: Path) -> np.ndarray:
    """The known ages in stored order."""
    records = shardmill.open_dataset(dataset)["train"]
    ages = np.array([record.columns["age"] for record in records], np.float32)
    return ages[~np.isnan(ages)]


def read(batches: tf.data.Dataset) -> np.ndarray:
    found = [labels.numpy() for _, labels in batches]
    assert {labels.dtype for labels in found} == {np.dtype(np.float32)}
    return np.concatenate(found)


def batches_of(dataset: Path, **options: Any) -> tf.data.Dataset:
    given = {"target": "age", "image_size": (8, 8), "batch_size": 4, **options}
    return shardmill.as_tf_dataset(dataset, "train", **given)


def test_as_tf_dataset_target_gives_values_and_leaves_out_unknown_ones(
    dataset: Path, expected: np.ndarray
) -> None:
    assert len(expected) == 9
    batches = batches_of(dataset)
    assert batches.cardinality() == 3
    assert batches.element_spec[1].shape.as_list() == [None]
    np.testing.assert_array_equal(read(batches), expected)
    assert not hasattr(batches, "class_names")


def test_as_tf_dataset_whole_numbers_are_a_target(dataset: Path) -> None:
    records = shardmill.open_dataset(dataset)["train"]
    found = read(batches_of(dataset, target="whole"))
    np.testing.assert_array_equal(found, [record.columns["whole"] for record in records])


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_as_tf_dataset_caches_serve_several_targets(
    dataset: Path, expected: np.ndarray, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        np.testing.assert_array_equal(read(batches_of(dataset, cache=cache)), expected)
    whole = read(batches_of(dataset, cache=cache, target="whole"))
    np.testing.assert_array_equal(whole, read(batches_of(dataset, target="whole")))
    labels = np.concatenate([labels for _, labels in batches_of(dataset, cache=cache, target=None)])
    assert labels.dtype == np.int64
    assert len({path.parent for path in tmp_path.rglob("*.arrays")}) == (cache == "disk")


def test_as_tf_dataset_images_keep_their_targets_when_shuffled(dataset: Path) -> None:
    def pairs(**options: Any) -> dict[bytes, float]:
        return {
            image.tobytes(): float(label)
            for images, labels in batches_of(dataset, target="whole", **options).as_numpy_iterator()
            for image, label in zip(images, labels, strict=True)
        }

    expected = pairs()
    assert len(expected) == len(AGES)
    assert pairs(shuffle=True, seed=3) == expected


def test_as_tf_dataset_workers_divide_the_known_values(dataset: Path, expected: np.ndarray) -> None:
    parts = [read(batches_of(dataset, shard_index=index, shard_count=2)) for index in range(2)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.sort(expected))


@pytest.mark.parametrize(
    ("target", "message"),
    [("height", "keeps no column of this name"), ("word", "does not contain numbers only")],
)
def test_as_tf_dataset_target_that_is_no_number_is_an_error(
    dataset: Path, target: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        batches_of(dataset, target=target)
    assert caught.value.expected == "a column of numbers: age, whole"


def test_tfds_reads_the_target(dataset: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(dataset)
    found = {
        example["image/filename"].decode(): example["column/age"]
        for example in tfds.as_numpy(builder.as_dataset(split="train"))
    }
    records = shardmill.open_dataset(dataset)["train"]
    np.testing.assert_array_equal(
        [found[record.key] for record in records], [record.columns["age"] for record in records]
    )
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
