"""A dataset to read: a mapping of splits, sequences of records."""

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
from tests.datasets import LABELS, make_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from records.dataset import Dataset


@pytest.fixture
def dataset(build_dataset: Callable[..., Path]) -> Dataset:
    return open_dataset(build_dataset())


def test_it_is_a_mapping_of_sequences(dataset: Dataset) -> None:
    assert sorted(dataset) == ["test", "train"]
    assert {name: len(split) for name, split in dataset.items()} == {"train": 12, "test": 5}
    assert dataset.labels == LABELS
    with pytest.raises(KeyError):
        dataset["validation"]


def test_records_are_what_was_written(dataset: Dataset) -> None:
    for record, source in zip(dataset["train"], make_sources(12), strict=True):
        assert (record.key.encode(), record.label) == (source.key, source.label)
        assert record.image == source.data
        assert record.text == LABELS[source.label]


def test_by_number_and_by_slice(dataset: Dataset) -> None:
    split = dataset["train"]
    everything = list(split)
    assert [split[number] for number in range(12)] == everything
    assert split[-1] == everything[-1]
    assert split[3:9:2] == everything[3:9:2]
    assert split[::-1] == everything[::-1]
    for number in (12, -13):
        with pytest.raises(IndexError):
            split[number]


def test_damage_to_a_record_names_its_shard(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    dataset = open_dataset(folder)
    name = dataset["train"].facts.shards[0].name
    content = bytearray((folder / name).read_bytes())
    content[20] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CorruptDataError, match="checksum") as found:
        dataset["train"][0]
    assert found.value.path == str(folder / name)
    assert found.value.record == 0


def count_open_files() -> int:
    """How many of this process's descriptors are open, not counting what earlier tests left."""
    gc.collect()
    return sum(is_open(descriptor) for descriptor in range(1024))


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_files_stay_open_for_the_next_record_and_close_in_time(
    build_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    split = open_dataset(build_dataset())["train"]
    expected = list(split)
    monkeypatch.setattr("records.dataset.dataset._OPEN_SHARDS", 1)
    before = count_open_files()
    for number in (0, 11, 1, 10, 0):
        assert split[number] == expected[number]
    assert count_open_files() == before + 1


def test_a_split_goes_to_another_process(dataset: Dataset) -> None:
    split = dataset["test"]
    first = split[0]
    assert pickle.loads(pickle.dumps(split))[0] == first


def test_the_package_exports_it(build_dataset: Callable[..., Path]) -> None:
    assert len(records.open_dataset(build_dataset())["test"]) == 5
    with pytest.raises(AttributeError):
        records.nothing  # noqa: B018


def test_at_a_url(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    assert [r.key for r in open_dataset(folder.as_uri())["test"]] == [
        r.key for r in open_dataset(folder)["test"]
    ]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        open_dataset(tmp_path)


def test_a_record_without_an_image_is_damage(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    name = "test-00000-of-00001.tfrecord"
    index = read_index(open_storage(folder), index_name(name))
    frame = frame_bytes(encode_example({"image/class/label": [0]}))
    (folder / name).write_bytes(frame)
    first, *others = index.rows()
    rows = new_row_table([first._replace(length=len(frame)), *others])
    (folder / index_name(name)).write_bytes(encode_index(index.facts, rows))
    with pytest.raises(CorruptDataError, match="no good feature image/encoded") as found:
        open_dataset(folder)["test"][0]
    assert found.value.record == 0


@pytest.mark.parametrize(
    "missing", ["index/train-00000-of-00002.parquet", "train-00000-of-00002.tfrecord"]
)
def test_a_missing_file_is_damage(build_dataset: Callable[..., Path], missing: str) -> None:
    folder = build_dataset()
    (folder / missing).unlink()
    with pytest.raises(CorruptDataError, match=f"{missing}: a file of the dataset is missing"):
        open_dataset(folder)["train"][0]


def test_a_missing_shard_is_damage_to_who_reads_all(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    (folder / "train-00001-of-00002.tfrecord").unlink()
    with pytest.raises(CorruptDataError, match="a file of the dataset is missing"):
        list(open_dataset(folder)["train"])


def test_an_index_of_another_shard_is_damage(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    index = folder / "index"
    (index / "test-00000-of-00001.parquet").replace(index / "train-00001-of-00002.parquet")
    with pytest.raises(CorruptDataError, match="not as many rows"):
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
def test_a_record_of_other_features_is_damage(
    build_dataset: Callable[..., Path], name: str, value: list[object]
) -> None:
    features = features_of_a_record(build_dataset())
    assert isinstance(decode_record(encode_example(features)), Record)  # type: ignore[arg-type]
    features[name] = value
    with pytest.raises(CorruptDataError):
        decode_record(encode_example(features))  # type: ignore[arg-type]
