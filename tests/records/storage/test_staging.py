"""Files without a name, which are published or removed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from records.storage.staging import UnnamedFile, open_unnamed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="O_TMPFILE is a flag of Linux")
CONTENT = bytes(range(256)) * 9000


def written(folder: Path) -> UnnamedFile:
    file = open_unnamed(folder)
    assert file is not None
    for start in range(0, len(CONTENT), 70_000):
        file.write(memoryview(CONTENT)[start : start + 70_000])
    return file


def test_unnamed_file_is_invisible_until_it_is_published(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    file = written(path.parent)
    assert list(tmp_path.rglob("*")) == []
    file.finish()
    assert file.publish(path)
    assert path.read_bytes() == CONTENT
    assert path.stat().st_nlink == 1
    assert not file.publish(tmp_path / "other")


def test_unnamed_file_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"of a killed run")
    file = written(tmp_path)
    file.finish()
    assert file.publish(path)
    assert path.read_bytes() == CONTENT


def test_unnamed_file_that_is_not_complete_is_not_published(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    assert not written(tmp_path).publish(path)
    assert path.read_bytes() == b"old"


def test_unnamed_file_that_cannot_be_written_is_dropped(tmp_path: Path) -> None:
    for size in (1, 3 << 20):
        file = UnnamedFile(os.open("/dev/full", os.O_WRONLY))
        file.write(bytes(size))
        file.write(b"x")
        file.finish()
        assert not file.publish(tmp_path / "file")
        file.close()
    assert list(tmp_path.iterdir()) == []


def test_unnamed_file_without_a_place_for_its_name_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    file = written(tmp_path)
    file.finish()
    assert not file.publish(tmp_path / "file" / "below")


def test_unnamed_file_in_a_folder_that_cannot_have_one_is_none() -> None:
    assert open_unnamed(Path("/proc/self")) is None
