"""Batches of a dataset with any number of labels per image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

import shardmill
from tests.trainers.drawn import convert_list, draw_disc

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ["", "a", "b", "c", "a|b", "a|c", "b|c", "a|b|c", "c", "a", ""]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [(draw_disc(number)[0], labels) for number, labels in enumerate(LABELS)]
    return convert_list(tmp_path_factory.mktemp("multi"), "tags", rows, label_separator="|")


def test_as_tf_dataset_several_labels_are_multi_hot(dataset: Path) -> None:
    batches = shardmill.as_tf_dataset(dataset, "train", image_size=(8, 8), batch_size=4)
    assert batches.element_spec[1].shape.as_list() == [None, 3]
    found = np.concatenate([labels.numpy() for _, labels in batches])
    records = shardmill.open_dataset(dataset)["train"]
    expected = [[float(label in record.labels) for label in range(3)] for record in records]
    np.testing.assert_array_equal(found, np.asarray(expected, np.float32))
    assert found.dtype == np.float32


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_as_tf_dataset_cache_keeps_several_labels(
    dataset: Path, cache: Literal["memory", "disk"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plain, cached = (
        [labels.numpy() for _, labels in shardmill.as_tf_dataset(
            dataset, "train", image_size=(8, 8), batch_size=4, cache=kept
        )]
        for kept in (False, cache)
    )  # fmt: skip
    for expected, found in zip(plain, cached, strict=True):
        np.testing.assert_array_equal(expected, found)
        assert found.dtype == np.float32


def test_tfds_reads_several_labels(dataset: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(dataset)
    found = {
        example["image/filename"].decode(): tuple(example["image/class/label"].tolist())
        for example in tfds.as_numpy(builder.as_dataset(split="train"))
    }
    records = shardmill.open_dataset(dataset)["train"]
    assert found == {record.key: record.labels for record in records}
