"""Datasets read by TensorFlow, by TFDS, and by `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import records
from records.dataset import Record, open_dataset
from records.images import decode_record_image
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, make_file, make_picture

KINDS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")


@pytest.fixture
def dataset(convert: Convert, source: Path, output: Path) -> Path:
    """Return a dataset of several image formats in two splits, with one reject."""
    for number, kind in enumerate(KINDS):
        make_file(source, f"cat/odd{number}.{kind.lower()}", make_picture(500 + number, kind=kind))
    make_file(source, b"dog/\xff%.png", make_picture(600))
    make_file(source, "dog/bad.png", CORRUPT)
    convert(test=8, shards=2)
    return output


def stored_in(dataset: Path, split: Any) -> dict[str, Record]:
    return {record.key: record for record in open_dataset(dataset)[split]}


def pixels_of(record: Record) -> Any:
    size = record.width, record.height
    return decode_record_image(record.image, record.format, *size, record.channels)


def test_verify_converted_dataset_has_no_findings(dataset: Path) -> None:
    assert list(records.verify(dataset, decode=True)) == []


def test_tensorflow_converted_dataset_gives_same_labels_and_pixels(dataset: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
        "image/filename": tf.io.FixedLenFeature([], tf.string),
    }
    for split in ("train", "test"):
        stored = {r.image: r for r in open_dataset(dataset)[split]}
        shards = sorted(map(str, dataset.glob(f"{split}-*.tfrecord")))
        found = [tf.io.parse_single_example(r, features) for r in tf.data.TFRecordDataset(shards)]
        assert len(found) == len(stored)
        for example in found:
            record = stored[example["image/encoded"].numpy()]
            assert int(example["image/class/label"]) == record.label
            pixels = tf.io.decode_image(example["image/encoded"], expand_animations=False)
            if record.format == "png":
                assert (pixels.numpy() == pixels_of(record)).all()


def test_tfds_converted_dataset_gives_same_labels(dataset: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(dataset))
    assert builder.info.features["image/class/label"].names == ["cat", "dog"]
    for split in ("train", "test"):
        stored = stored_in(dataset, split)
        assert builder.info.splits[split].num_examples == len(stored)
        labels = sorted(int(e["image/class/label"]) for e in builder.as_dataset(split=split))
        assert labels == sorted(record.label for record in stored.values())
