"""Batches of records by number, from local and remote datasets."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.adopt import adopt
from records.dataset import batch_reads, open_dataset
from records.dataset.batch_reads import fetch_frames
from records.dataset.record_places import Place
from records.errors import CorruptDataError
from records.format.shard import FrameLocation
from records.storage import open_storage
from tests.datasets import DatasetBuilder, make_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from records.dataset import Dataset

MAX_GAP, MAX_REQUEST = 128, 8192
GAPS = st.sampled_from([0, 1, 100, MAX_GAP, MAX_GAP + 1, 1000])
SIZES = st.sampled_from([16, 100, 1000, MAX_REQUEST - 50, 9000])


@given(
    shards=st.lists(st.lists(st.tuples(GAPS, SIZES), max_size=4), max_size=3), order=st.randoms()
)
def test_fetch_frames_reads_near_frames_together(
    shards: list[list[tuple[int, int]]], order: random.Random
) -> None:
    frames = {}
    for shard, parts in enumerate(shards):
        offset = 0
        for record, (gap, size) in enumerate(parts):
            frames[Place(shard, record)] = FrameLocation(offset + gap, size)
            offset += gap + size
    shuffled = list(frames.items())
    order.shuffle(shuffled)
    requests = []

    def read(shard: int, offset: int, size: int) -> bytes:
        requests.append((shard, offset, size))
        return bytes([shard]) * size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_reads, "_MAX_GAP_BYTES", MAX_GAP)
        patch.setattr(batch_reads, "_MAX_REQUEST_BYTES", MAX_REQUEST)
        readers = fetch_frames(dict(shuffled), read)
    assert readers.keys() == frames.keys()
    for (shard, _), location in frames.items():
        (covering,) = (
            (offset, size)
            for number, offset, size in requests
            if number == shard and offset <= location.offset < offset + size
        )
        assert location.offset + location.length <= sum(covering)
    for place, location in frames.items():
        first, rest = readers[place].ranges.read_parts(location.offset, (10, location.length - 10))
        assert first + rest == bytes([place.shard]) * location.length
    for number, (shard, offset, size) in enumerate(sorted(requests)):
        inside = [
            location
            for place, location in sorted(frames.items())
            if place.shard == shard and offset <= location.offset < offset + size
        ]
        assert len(inside) == 1 or size <= MAX_REQUEST
        assert size - sum(location.length for location in inside) <= (len(inside) - 1) * MAX_GAP
        if number and sorted(requests)[number - 1][0] == shard:  # these two could not be one
            _, earlier, bytes_read = sorted(requests)[number - 1]
            gap = offset - earlier - bytes_read
            assert gap > MAX_GAP or offset + inside[0].length - earlier > MAX_REQUEST


@pytest.fixture(params=["local", "memory"])
def dataset(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dataset]:
    """Return a dataset of 40 records in two shards."""
    url = "memory://batch-reads"
    if request.param == "local":
        url = str(tmp_path_factory.mktemp("data") / "data")
    sources = make_sources(40)
    DatasetBuilder(open_storage(url)).build({"train": [sources[:13], sources[13:]]})
    yield open_dataset(url)
    if request.param == "memory":
        fsspec.filesystem("memory").rm("/batch-reads", recursive=True)


def test_split_batch_equals_single_records(dataset: Dataset) -> None:
    train = dataset["train"]
    single = [train[number] for number in range(40)]
    draws = random.Random(3)
    for size in (0, 1, 7, 40, 100):
        numbers = draws.choices(range(-40, 40), k=size)
        batch = train.__getitems__(numbers)
        assert batch == [single[number] for number in numbers]
    assert train[:] == single
    assert train[5:30:3] == single[5:30:3]
    assert train[::-1] == single[::-1]


def test_split_batch_of_adopted_dataset_equals_single_records(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    DatasetBuilder(open_storage(folder)).build({"train": [make_sources(9)]})
    (shard,) = folder.glob("*.tfrecord")
    files = tmp_path / "files"
    files.mkdir()
    shutil.copy(shard, files / "train.tfrecord")
    adopt([str(files / "train.tfrecord")], str(files))
    storage = open_storage("memory://adopted-batch")
    for name in open_storage(files).list():
        storage.replace(name, open_storage(files).read(name))
    train = open_dataset("memory://adopted-batch")["train"]
    assert train.__getitems__(range(9)) == [train[number] for number in range(9)]
    fsspec.filesystem("memory").rm("/adopted-batch", recursive=True)


def test_split_batch_of_worker_slice_has_its_records(dataset: Dataset) -> None:
    whole = [record.key for record in dataset["train"]]
    parts = [
        open_dataset(dataset.storage.url, shard_index=index, shard_count=3)["train"]
        for index in range(3)
    ]
    keys = [record.key for part in parts for record in part.__getitems__(range(len(part)))]
    assert keys == whole


@pytest.mark.parametrize("number", [40, -41])
def test_split_batch_number_out_of_range_raises_index_error(dataset: Dataset, number: int) -> None:
    with pytest.raises(IndexError, match="only 40 records"):
        dataset["train"].__getitems__([0, number])


@pytest.mark.parametrize("damage", ["missing", "flipped", "truncated"])
def test_split_batch_damaged_shard_names_shard(dataset: Dataset, damage: str) -> None:
    storage = dataset.storage
    name = dataset["train"].info.shards[1].name
    content = bytearray(storage.read(name))
    assert dataset["train"].__getitems__([20, 2])
    storage.remove(name)
    content[len(content) // 2] ^= 1
    if damage == "truncated":
        del content[len(content) // 2 :]
    if damage != "missing":
        storage.replace(name, bytes(content))
    train = open_dataset(storage.url)["train"]
    assert train.__getitems__([3, 2])
    with pytest.raises(CorruptDataError) as caught:
        train.__getitems__(range(40))
    assert name in str(caught.value)
