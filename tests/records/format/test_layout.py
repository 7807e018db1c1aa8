"""Names on disk."""

from __future__ import annotations

import pytest

from records.format.layout import SPLITS, index_name, parse_shard_name, shard_name


@pytest.mark.parametrize("split", SPLITS)
def test_parse_shard_name_valid_name_returns_split_number_and_count(split: str) -> None:
    name = shard_name(split, 3, 12)  # type: ignore[arg-type]
    assert name == f"{split}-00003-of-00012.tfrecord"
    assert parse_shard_name(name) == (split, 3, 12)
    for folder in ("0002", "9999", "10000", "123456789"):
        assert parse_shard_name(f"generations/{folder}/{name}") == (split, 3, 12)


@pytest.mark.parametrize(
    "name",
    [
        "train-00012-of-00012.tfrecord",
        "train-3-of-12.tfrecord",
        "other-00003-of-00012.tfrecord",
        "../train-00003-of-00012.tfrecord",
        "/train-00003-of-00012.tfrecord",
        "a/train-00003-of-00012.tfrecord",
        "generations/2/train-00003-of-00012.tfrecord",
        "generations/00002/train-00003-of-00012.tfrecord",
        "generations/1234567890/train-00003-of-00012.tfrecord",
        "train-00003-of-00012.tfrecord\n",
        "train-00003-of-00012.tfrecord.gz",
    ],
)
def test_parse_shard_name_invalid_name_is_none(name: str) -> None:
    assert parse_shard_name(name) is None


def test_index_name_is_in_index_folder_of_its_generation() -> None:
    assert index_name("test-00000-of-00001.tfrecord") == "index/test-00000-of-00001.parquet"
    assert (
        index_name("generations/0002/test-00000-of-00001.tfrecord")
        == "generations/0002/index/test-00000-of-00001.parquet"
    )
