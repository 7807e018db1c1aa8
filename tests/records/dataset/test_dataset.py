"""Reading a dataset: a mapping of splits, which are sequences of records."""

from __future__ import annotations

import gc
import os
import pickle
from typing import TYPE_CHECKING

import pytest

import records
from records.dataset import Record, decode_record, open_dataset
from records.errors import CorruptDataError, InputNotFoundError
from records.format.example import encode_example
from records.format.index import encode_index, new_row_table, read_index
from records.format.layout import index_name
from records.format.shard import read_shard
from records.format.tfrecord import frame_bytes
from records.storage import open_storage
from tests.datasets import LABELS, make_sources, replace_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from records.dataset import Dataset


@pytest.fixture
def dataset(build_dataset: Callable[..., Path]) -> Dataset:
    return open_dataset(build_dataset())


def test_dataset_is_mapping_of_split_names_to_sequences(dataset: Dataset) -> None:
    assert sorted(dataset) == ["test", "train"]
    assert {name: len(split) for name, split in dataset.items()} == {"train": 12, "test": 5}
    assert dataset.labels == LABELS
    with pytest.raises(KeyError):
        dataset["validation"]


def test_split_records_equal_written_sources(dataset: Dataset) -> None:
    for record, source in zip(dataset["train"], make_sources(12), strict=True):
        assert (record.key.encode(), record.label) == (source.key, source.label)
        assert record.image == source.data
        assert record.class_name == LABELS[source.label]


def test_split_index_and_slice_equal_iteration(dataset: Dataset) -> None:
    split = dataset["train"]
    everything = list(split)
    assert [split[number] for number in range(12)] == everything
    assert split[-1] == everything[-1]
    assert split[3:9:2] == everything[3:9:2]
    assert split[::-1] == everything[::-1]
    for number in (12, -13):
        with pytest.raises(IndexError):
            split[number]


def test_split_damaged_record_raises_corrupt_data_with_shard_and_record(
    build_dataset: Callable[..., Path],
) -> None:
    folder = build_dataset()
    dataset = open_dataset(folder)
    name = dataset["train"].info.shards[0].name
    content = bytearray((folder / name).read_bytes())
    content[20] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CorruptDataError, match="checksum") as found:
        dataset["train"][0]
    assert found.value.path == str(folder / name)
    assert found.value.record == 0


def count_open_files() -> int:
    """Return the number of open descriptors, after freeing those of earlier tests."""
    gc.collect()
    return sum(is_open(descriptor) for descriptor in range(1024))


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_split_open_files_are_reused_and_limited(
    build_dataset: Callable[..., Path],
) -> None:
    split = open_dataset(build_dataset())["train"]
    expected = list(split)
    split.max_open_shards = 1
    before = count_open_files()
    for number in (0, 11, 1, 10, 0):
        assert split[number] == expected[number]
    assert count_open_files() == before + 1


def test_split_pickle_round_trip_reads_same_record(dataset: Dataset) -> None:
    split = dataset["test"]
    first = split[0]
    assert pickle.loads(pickle.dumps(split))[0] == first


def test_records_package_exports_open_dataset_lazily(build_dataset: Callable[..., Path]) -> None:
    assert len(records.open_dataset(build_dataset())["test"]) == 5
    with pytest.raises(AttributeError):
        records.nothing  # noqa: B018


def test_open_dataset_file_url_equals_path(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    assert [r.key for r in open_dataset(folder.as_uri())["test"]] == [
        r.key for r in open_dataset(folder)["test"]
    ]


def test_open_dataset_empty_folder_raises_input_not_found(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        open_dataset(tmp_path)


def test_split_record_without_image_raises_corrupt_data(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    name = "test-00000-of-00001.tfrecord"
    index = read_index(open_storage(folder), index_name(name))
    frame = frame_bytes(encode_example({"image/class/label": [0]}))
    (folder / name).write_bytes(frame)
    first, *others = index.rows()
    rows = new_row_table([first._replace(length=len(frame)), *others])
    replace_index(folder, name, encode_index(index.summary, rows))
    with pytest.raises(CorruptDataError, match="no valid feature image/encoded") as found:
        open_dataset(folder)["test"][0]
    assert found.value.record == 0


@pytest.mark.parametrize(
    "missing", ["index/train-00000-of-00002.parquet", "train-00000-of-00002.tfrecord"]
)
def test_split_missing_index_or_shard_raises_corrupt_data(
    build_dataset: Callable[..., Path], missing: str
) -> None:
    folder = build_dataset()
    (folder / missing).unlink()
    with pytest.raises(CorruptDataError, match=f"{missing}: a file of the dataset is missing"):
        open_dataset(folder)["train"][0]


def test_split_iteration_missing_shard_raises_corrupt_data(
    build_dataset: Callable[..., Path],
) -> None:
    folder = build_dataset()
    (folder / "train-00001-of-00002.tfrecord").unlink()
    with pytest.raises(CorruptDataError, match="a file of the dataset is missing"):
        list(open_dataset(folder)["train"])


def test_split_index_of_another_shard_raises_corrupt_data(
    build_dataset: Callable[..., Path],
) -> None:
    folder = build_dataset()
    index = folder / "index"
    (index / "test-00000-of-00001.parquet").replace(index / "train-00001-of-00002.parquet")
    with pytest.raises(CorruptDataError, match="the index is damaged, or belongs to another shard"):
        open_dataset(folder)["train"][11]


def features_of_a_record(folder: Path) -> dict[str, list[object]]:
    from records.format.example import decode_example

    frame = next(read_shard(open_storage(folder), "test-00000-of-00001.tfrecord"))
    return dict(decode_example(frame.payload))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image/encoded", []),
        ("image/encoded", [b"a", b"b"]),
        ("image/class/label", [b"3"]),
        ("image/class/label", [0.5]),
        ("image/class/text", [b"\xff"]),
        ("image/format", [1]),
    ],
)
def test_decode_record_wrong_feature_raises_corrupt_data(
    build_dataset: Callable[..., Path], name: str, value: list[object]
) -> None:
    features = features_of_a_record(build_dataset())
    assert isinstance(decode_record(encode_example(features)), Record)  # type: ignore[arg-type]
    features[name] = value
    with pytest.raises(CorruptDataError):
        decode_record(encode_example(features))  # type: ignore[arg-type]
