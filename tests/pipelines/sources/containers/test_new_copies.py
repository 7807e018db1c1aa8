"""Copies of Parquet files that are written while the files are listed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.sources.containers import unpack
from pipelines.writing import shard
from records.errors import CorruptDataError, StorageError
from records.storage.staging import UnnamedFile, open_unnamed
from records.untrusted_parquet import ParquetStream
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_picture
from tests.pipelines.sources.containers.forms import parquet_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="O_TMPFILE is a flag of Linux")
PICTURES = [make_picture(number) for number in range(90)]
OPTIONS = {"processes": 1, "shards": 2, "max_rejects": 5}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with row groups of 40 rows; some rows have no image."""
    images = [None if number % 30 == 1 else picture for number, picture in enumerate(PICTURES)]
    rows = [(f"{number}.png", image, number % 2) for number, image in enumerate(images)]
    path = tmp_path / "photos.parquet"
    path.write_bytes(parquet_bytes(rows, ["cat", "dog"], row_group_size=40))
    return path


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each decoding of the images of a file is added."""
    found: list[int] = []
    real = ParquetStream.batches

    def batches(self: ParquetStream, columns: list[str]) -> Iterator[pa.RecordBatch]:
        found.append(1)
        return real(self, columns)

    monkeypatch.setattr(ParquetStream, "batches", batches)
    return found


def stop_before_shards(convert: Convert, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Run a conversion until its first shard."""

    def stop(*_: Any) -> None:
        raise KeyError

    with monkeypatch.context() as patched:
        patched.setattr(shard, "convert_images", stop)
        with pytest.raises(KeyError):
            convert(source=str(path), **OPTIONS)


def test_parquet_is_decoded_once_and_its_copy_is_its_images(
    convert: Convert,
    path: Path,
    output: Path,
    decodings: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop_before_shards(convert, monkeypatch, path)
    assert len(decodings) == 1
    (copy,) = (output / ".shardmill" / "unpacked").iterdir()
    images = [picture for number, picture in enumerate(PICTURES) if number % 30 != 1]
    assert copy.read_bytes() == b"".join(images)


def test_parquet_copy_of_a_killed_run_is_replaced(
    convert: Convert, path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not durable: a power failure may have damaged it."""
    for number in range(2):
        stop_before_shards(convert, monkeypatch, path)
        (copy,) = (output / ".shardmill" / "unpacked").iterdir()
        copy.write_bytes(bytes(copy.stat().st_size))
        if number:
            monkeypatch.setattr(unpack, "open_unnamed", lambda _folder: None)
        report = convert(source=str(path), output=str(output), **OPTIONS)
        assert (report.counts.stored, report.counts.rejected) == (len(PICTURES) - 3, 3)
        content = content_of(output)
        output.rename(output.with_name(f"done-{number}"))
    assert content == content_of(output.with_name("done-0"))


@pytest.mark.parametrize("failure", ["not supported", "full disk", "other file system"])
def test_parquet_without_a_new_copy_is_decoded_again(
    convert: Convert,
    path: Path,
    decodings: list[int],
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
) -> None:
    first, second = path.with_name("a"), path.with_name("b")
    convert(source=str(path), output=str(first), **OPTIONS)
    assert len(decodings) == 1

    def fail(*_: object, **_options: object) -> int:
        raise OSError(errno.EPERM, failure)

    if failure == "not supported":
        monkeypatch.setattr(unpack, "open_unnamed", lambda _folder: None)
    elif failure == "full disk":
        monkeypatch.setattr(UnnamedFile, "write", lambda self, _data: self.close())
    else:
        monkeypatch.setattr(os, "link", fail)
    convert(source=str(path), output=str(second), **OPTIONS)
    assert len(decodings) == 3
    assert content_of(first) == content_of(second)


def test_parquet_of_a_run_that_may_write_nothing_has_no_new_copy(
    convert: Convert, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def open_one(folder: Path) -> UnnamedFile | None:
        opened.append(folder)
        return open_unnamed(folder)

    monkeypatch.setattr(unpack, "open_unnamed", open_one)
    convert(source=str(path), dry_run=True, **OPTIONS)
    assert opened == []
    convert(source=str(path), **OPTIONS)
    assert len(opened) == 1
    convert(source=str(path), **OPTIONS)
    convert(source=str(path), append=True, **OPTIONS)
    assert len(opened) == 1


def test_parquet_file_that_changes_between_list_and_copy_is_one_error(
    convert: Convert, path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = unpack.NewCopies.publish

    def change(*given: Any) -> bool:
        path.write_bytes(path.read_bytes() + b"x")
        return real(*given)

    monkeypatch.setattr(unpack.NewCopies, "publish", change)
    with pytest.raises(StorageError, match="changed or removed after it was listed"):
        convert(source=str(path), **OPTIONS)
    assert not (output / "dataset.json").exists()


def test_parquet_error_while_listing_leaves_neither_files_nor_threads(
    convert: Convert, path: Path, output: Path
) -> None:
    """A page of the second row group is damaged."""
    rows = [(None, picture, 0) for picture in PICTURES]
    options = {"row_group_size": 40, "compression": "none", "write_page_checksum": True}
    content = bytearray(parquet_bytes(rows, ["cat"], **options))
    content[content.index(PICTURES[50]) + 60] ^= 1
    path.write_bytes(content)
    found = []
    for _ in range(3):
        with pytest.raises(CorruptDataError, match=r"damaged.*CRC"):
            convert(source=str(path), **OPTIONS)
        files = sorted(each.name for each in Path("/proc/self/fd").iterdir())
        found.append((files, threading.active_count()))
    assert found[0] == found[1] == found[2]
    assert not output.exists()


_KILLED = """
import os, signal, sys
from records.storage.staging import UnnamedFile
real = UnnamedFile.write
def write(self, data):
    real(self, data)
    os.kill(os.getpid(), signal.SIGKILL)
UnnamedFile.write = write
from pipelines.convert import convert
from pipelines.options import ConvertOptions
convert(ConvertOptions(source=sys.argv[1], output=sys.argv[2]))
"""


def test_parquet_run_killed_while_listing_leaves_nothing(path: Path, output: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(path), str(output)]
    assert subprocess.run(command, check=False).returncode == -9
    assert not output.exists()
