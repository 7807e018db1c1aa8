"""TFDS reads the dataset as if it had written it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from records.dataset import open_dataset
from records.format.layout import TFDS_FEATURES, TFDS_INFO
from records.format.manifest import read_manifest
from records.format.tfds_metadata import tfds_files
from records.images import ImageOptions, decode_record_image
from records.storage import open_storage
from tests.datasets import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STORES = {
    "as it came": ImageOptions(),
    "of one size": ImageOptions(resize=(10, 7)),
    "grey": ImageOptions(store="png", channels=1),
    "raw": ImageOptions(store="raw", resize=(10, 7)),
}


@pytest.mark.parametrize("images", STORES.values(), ids=STORES.keys())
def test_tfds_reads_every_record_of_each_stored_format(
    build_dataset: Callable[..., Path], images: ImageOptions
) -> None:
    import tensorflow_datasets as tfds

    folder = build_dataset(images=images)
    builder = tfds.builder_from_directory(str(folder))
    dataset = open_dataset(folder)
    for split, ours in dataset.items():
        read = builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator()
        for record, theirs in zip(ours, read, strict=True):
            assert theirs["image/class/label"] == record.label
            assert theirs["image/class/text"].decode() == record.class_name
            assert theirs["image/filename"].decode() == record.key
            assert theirs["image/format"].decode() == record.format
            assert (theirs["image/width"], theirs["image/height"]) == (record.width, record.height)
            assert theirs["image/channels"] == record.channels
            if images.store == "raw":
                assert theirs["image/encoded"] == record.image
            elif record.format == "png":  # of JPEG, TFDS's decoder makes slightly other pixels
                own = decode_record_image(
                    record.image, record.format, record.width, record.height, record.channels
                )
                np.testing.assert_array_equal(theirs["image/encoded"], own)


def test_tfds_builder_info_has_counts_classes_and_supervised_keys(
    build_dataset: Callable[..., Path],
) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(build_dataset()))
    info = builder.info
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 12,
        "test": 5,
    }
    assert info.splits["train"].shard_lengths == [5, 7]
    assert info.features["image/class/label"].names == list(LABELS)
    assert info.full_name == "shardmill/1.0.0"
    image, label = next(iter(builder.as_dataset(split="test", as_supervised=True)))
    assert image.shape.rank == 3
    assert label.numpy() in range(len(LABELS))


def test_tfds_split_slice_returns_requested_records(build_dataset: Callable[..., Path]) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(build_dataset()))
    assert len(list(builder.as_dataset(split="train[3:9]"))) == 6


def test_tfds_metadata_equals_files_written_by_tfds(
    build_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """What `tfds.folder_dataset.write_metadata` makes of the same folder, but for class names."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    folder = build_dataset()
    own = {name: json.loads(content) for name, content in tfds_files(own_manifest(folder)).items()}
    template = tfds.core.ShardedFileTemplate(
        template="{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}", data_dir=str(folder)
    )
    facts = own_manifest(folder).splits
    features = {
        "image/encoded": tfds.features.Image(shape=(None, None, 3)),
        "image/format": tfds.features.Text(),
        "image/height": tfds.features.Scalar(tf.int64),
        "image/width": tfds.features.Scalar(tf.int64),
        "image/channels": tfds.features.Scalar(tf.int64),
        "image/class/label": tfds.features.ClassLabel(names=LABELS),
        "image/class/text": tfds.features.Text(),
        "image/filename": tfds.features.Tensor(shape=(), dtype=tf.string),
    }
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=features,
        split_infos=[
            tfds.core.SplitInfo(
                name=name,
                shard_lengths=[shard.records for shard in split.shards],
                num_bytes=split.bytes,
                filename_template=template,
            )
            for name, split in facts.items()
        ],
        filename_template=template,
        check_data=False,
        supervised_keys=("image/encoded", "image/class/label"),
    )
    theirs = {name: json.loads((folder / name).read_bytes()) for name in own}
    assert comparable(own) == comparable(theirs)


def own_manifest(folder: Path) -> Any:
    return read_manifest(open_storage(folder))


def comparable(files: dict[str, Any]) -> dict[str, Any]:
    """Remove the necessary differences: name, spelling of `.tfrecord`, place of class names."""
    info, features = files[TFDS_INFO], files[TFDS_FEATURES]
    info.pop("name", None)
    for split in info["splits"]:
        split["filepathTemplate"] = split["filepathTemplate"].replace("{FILEFORMAT}", "tfrecord")
    info["splits"].sort(key=lambda split: split["name"])
    label = features["featuresDict"]["features"]["image/class/label"]
    label.pop("jsonFeature", None)
    label.pop("classLabel", None)
    return files


def test_tfds_metadata_split_order_does_not_change_files(
    build_dataset: Callable[..., Path],
) -> None:
    import msgspec

    manifest = own_manifest(build_dataset())
    backwards = msgspec.structs.replace(manifest, splits=dict(reversed(manifest.splits.items())))
    assert tfds_files(backwards) == tfds_files(manifest)


def test_tfds_metadata_later_generation_lists_only_its_shards(
    build_dataset: Callable[..., Path],
) -> None:
    import msgspec

    manifest = own_manifest(build_dataset())
    test = manifest.splits["test"]
    shard = msgspec.structs.replace(test.shards[0], name=f"generations/0002/{test.shards[0].name}")
    later = msgspec.structs.replace(test, shards=(*test.shards, shard))
    grown = msgspec.structs.replace(manifest, splits={**manifest.splits, "test": later})
    assert tfds_files(grown) == tfds_files(manifest)
    (split,) = json.loads(tfds_files(grown, folder="generations/0002")[TFDS_INFO])["splits"]
    assert split["name"] == "test"
    assert split["shardLengths"] == ["5"]
