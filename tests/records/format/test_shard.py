"""A shard: written, read as a stream, by offset and by TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import xxhash

from records.errors import CorruptDataError
from records.format.shard import FrameLocation, ShardReader, ShardWriter, hash_file, read_shard
from records.storage import Storage, open_storage

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = [b"first", b"", b"third" * 1000]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(tmp_path)


@pytest.fixture
def positions(storage: Storage) -> list[FrameLocation]:
    with storage.create("a.tfrecord") as stream:
        writer = ShardWriter(stream)
        positions = [writer.write(record) for record in RECORDS]
    content = storage.read("a.tfrecord")
    assert writer.records == len(RECORDS)
    assert writer.size_bytes == len(content)
    assert writer.xxh3_128 == xxhash.xxh3_128_hexdigest(content)
    return positions


def test_read_shard_yields_records_with_offsets(
    storage: Storage, positions: list[FrameLocation]
) -> None:
    frames = list(read_shard(storage, "a.tfrecord"))
    assert [frame.payload for frame in frames] == RECORDS
    assert [frame.offset for frame in frames] == [position.offset for position in positions]


def test_shard_reader_location_returns_record(
    storage: Storage, positions: list[FrameLocation]
) -> None:
    reader = ShardReader(storage.open_random_access("a.tfrecord"))
    for number in (2, 0, 1):
        assert reader.read(positions[number], record=number) == RECORDS[number]


@pytest.mark.parametrize("shift", [-1, 1, 5])
def test_shard_reader_wrong_location_raises_corrupt_data(
    storage: Storage, positions: list[FrameLocation], shift: int
) -> None:
    position = FrameLocation(positions[1].offset + shift, positions[1].length)
    with pytest.raises(CorruptDataError) as found:
        ShardReader(storage.open_random_access("a.tfrecord")).read(position, record=1)
    assert found.value.record == 1


def test_shard_reader_location_past_end_raises_corrupt_data(
    storage: Storage, positions: list[FrameLocation]
) -> None:
    with pytest.raises(CorruptDataError, match="ends inside the header of a record"):
        ShardReader(storage.open_random_access("a.tfrecord")).read(
            FrameLocation(1 << 30, 16), record=9
        )


def test_read_shard_damage_raises_corrupt_data_with_file_record_and_offset(
    storage: Storage, positions: list[FrameLocation], tmp_path: Path
) -> None:
    path = tmp_path / "a.tfrecord"
    content = bytearray(path.read_bytes())
    content[positions[2].offset + 20] ^= 1
    path.write_bytes(content)
    frames = read_shard(storage, "a.tfrecord")
    assert [next(frames).payload, next(frames).payload] == RECORDS[:2]
    with pytest.raises(CorruptDataError, match=r"a\.tfrecord record 2 offset 37: the checksum"):
        next(frames)


def test_hash_file_returns_xxh3_128_of_content(
    storage: Storage, positions: list[FrameLocation]
) -> None:
    expected = xxhash.xxh3_128_hexdigest(storage.read("a.tfrecord"))
    assert hash_file(storage, "a.tfrecord") == expected


def test_read_shard_missing_file_raises_file_not_found(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        next(read_shard(storage, "no.tfrecord"))
