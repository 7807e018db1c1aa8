"""Files of arrays give back what was written, are whole or not, and are of what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xxhash

from records.errors import OutputError
from records.storage import open_storage
from trainers.input.tensor_files import (
    ArrayFormat,
    ArraySource,
    array_name,
    check_space,
    is_intact,
    write_arrays,
)

if TYPE_CHECKING:
    from pathlib import Path

SHARD = "generations/0002/train-00000-of-00001.tfrecord"
NAME = "generations-0002-train-00000-of-00001.arrays"
FORMATS = [
    ArrayFormat("uint8", (3, 2, 1)),
    ArrayFormat("float16", (7,)),
    ArrayFormat("float32", (2, 2)),
]


def make_batches(array_format: ArrayFormat) -> list[tuple[Any, Any]]:
    random = np.random.default_rng(1)
    arrays = random.uniform(0, 255, (5, *array_format.shape)).astype(array_format.dtype)
    labels = np.array([4, -1, 0, 2**40, 1])
    return [(arrays[:3], labels[:3]), (arrays[3:], labels[3:])]


def write(folder: Path, array_format: ArrayFormat, identity: str = "a") -> int:
    with open_storage(folder).create(array_name(SHARD)) as stream:
        return write_arrays(stream, array_format, identity, make_batches(array_format))


@pytest.mark.parametrize("array_format", FORMATS, ids=str)
def test_tensor_file_written_arrays_are_read_unchanged(
    tmp_path: Path, array_format: ArrayFormat
) -> None:
    assert write(tmp_path, array_format) == 5
    assert (tmp_path / NAME).stat().st_size == array_format.file_bytes(5)
    source = ArraySource(tmp_path, array_format)
    ((arrays, labels),) = source.read(SHARD).batch(9).map(source.decode).as_numpy_iterator()
    expected, expected_labels = map(np.concatenate, zip(*make_batches(array_format), strict=True))
    assert arrays.dtype == ("uint8" if array_format.dtype == "uint8" else "float32")
    assert arrays.tolist() == expected.tolist()
    assert labels.tolist() == expected_labels.tolist()


def test_tensor_file_bytes_match_documented_format(tmp_path: Path) -> None:
    with open_storage(tmp_path).create("x") as stream:
        batch = np.array([[1, 2]], np.uint8), np.array([3])
        write_arrays(stream, ArrayFormat("uint8", (2,)), "a", [batch])
    record = b"\3\0\0\0\0\0\0\0\1\2"
    assert (tmp_path / "x").read_bytes() == record + xxhash.xxh3_128(b"a" + record).digest()


def test_is_intact_any_change_is_detected(tmp_path: Path) -> None:
    array_format = FORMATS[1]
    write(tmp_path, array_format)
    storage, size_bytes = open_storage(tmp_path), array_format.file_bytes(5)
    assert is_intact(storage, NAME, size_bytes, "a")
    assert not is_intact(storage, NAME, size_bytes, "b")
    assert not is_intact(storage, NAME, size_bytes + 1, "a")
    assert not is_intact(storage, "other", size_bytes, "a")
    content = (tmp_path / NAME).read_bytes()
    for place in (0, 8, 50, size_bytes - 17, size_bytes - 16, size_bytes - 1):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (tmp_path / NAME).write_bytes(damaged)
        assert not is_intact(storage, NAME, size_bytes, "a"), place
    (tmp_path / NAME).write_bytes(content[:-1])
    assert not is_intact(storage, NAME, size_bytes, "a")


def test_tensor_file_without_records_is_intact_and_empty(tmp_path: Path) -> None:
    with open_storage(tmp_path).create(array_name(SHARD)) as stream:
        assert write_arrays(stream, FORMATS[0], "a", []) == 0
    assert is_intact(open_storage(tmp_path), NAME, FORMATS[0].file_bytes(0), "a")
    assert not list(ArraySource(tmp_path, FORMATS[0]).read(SHARD))


def test_check_space_missing_folder_checks_disk_without_creating_it(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    check_space(folder, 1, what="features", hint="go")
    with pytest.raises(OutputError, match="the features do not fit on this disk"):
        check_space(folder, 1 << 60, what="features", hint="go")
    assert not folder.exists()
