"""Folders whose key determines their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from records.content_addressed_dir import ContentAddressedDir
from records.errors import OutputError
from records.storage import Storage, open_storage

MANIFEST = "manifest.json"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(tmp_path)


@pytest.fixture
def finished(storage: Storage) -> ContentAddressedDir:
    folder = ContentAddressedDir(storage, "k", MANIFEST, ("a.csv",), "other predictions")
    folder.check()
    folder.begin()
    storage.replace("a.csv", b"a")
    folder.finish(b'{"key": "k"}')
    return folder


def test_finished_folder_has_no_work_folder(
    storage: Storage, finished: ContentAddressedDir
) -> None:
    assert finished.is_finished()
    assert storage.list() == ["a.csv", MANIFEST]


@pytest.mark.parametrize("left", ["key", "chunks/a.csv", "run/config.json", "written/a.csv.0"])
def test_work_folder_of_a_process_that_ended_after_the_manifest_is_removed(
    storage: Storage, finished: ContentAddressedDir, left: str
) -> None:
    storage.replace(f".shardmill/{left}", b"left")
    assert finished.is_finished()
    assert storage.list() == ["a.csv", MANIFEST]


def test_work_folder_of_a_running_process_is_kept(
    storage: Storage, finished: ContentAddressedDir
) -> None:
    with storage.lock():
        storage.replace(".shardmill/key", b"k")
        assert finished.is_finished()
        assert ".shardmill/key" in storage.list()


def test_other_key_is_refused(storage: Storage, finished: ContentAddressedDir) -> None:
    assert finished.is_finished()
    other = ContentAddressedDir(storage, "other", MANIFEST, ("a.csv",), "other predictions")
    with pytest.raises(OutputError, match="contains other predictions"):
        other.is_finished()
