"""Tests that every storage must pass, published for authors of plug-ins.

A plug-in provides the storage for the URLs of one scheme: an object with the methods of
`records.storage.RemoteStorage`. A factory makes the object from a URL. The package of the plug-in
registers the factory in the entry point group `shardmill.storage`:

    [project.entry-points."shardmill.storage"]
    webdav = "shardmill_webdav:WebDavStorage"

shardmill then opens `webdav://host/folder`. The tests of the plug-in derive a class from
`StorageConformance`, with a fixture that returns the storage of an empty folder. pytest runs every
test of this module on this storage:

    import uuid

    import pytest

    from records.testing.storage_conformance import StorageConformance
    from shardmill_webdav import WebDavStorage


    class TestWebDavStorage(StorageConformance):
        @pytest.fixture
        def storage(self):
            return WebDavStorage(f"webdav://localhost/{uuid.uuid4().hex}")

This module needs pytest, which shardmill does not install. A failure means that a killed process,
a second writer or a lost response can leave a dataset that is incomplete or has files of two runs.
"""

from __future__ import annotations

import os
import pickle
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from records.errors import LockedError, OutputError
from records.storage import RemoteStorage, Storage, write_file

if TYPE_CHECKING:
    from pathlib import Path


class StorageConformance(ABC):
    """The contract of `records.storage.Storage`; a subclass provides the fixture `storage`."""

    @pytest.fixture
    @abstractmethod
    def storage(self, tmp_path: Path) -> Storage:
        """Return the storage of a folder that is empty or does not exist, a new one per test."""

    def test_storage_has_all_methods_of_protocol(self, storage: Storage) -> None:
        """A storage is a `Storage`; a storage that is not local is also a `RemoteStorage`."""
        assert isinstance(storage, Storage if storage.is_local else RemoteStorage)

    def test_display_name_contains_folder_and_name(self, storage: Storage) -> None:
        """`display_name` returns the full location of a file."""
        assert storage.display_name("a/b.bin").endswith("/a/b.bin")

    def test_create_file_is_visible_only_when_complete(self, storage: Storage) -> None:
        """A file that is being written does not exist for any reader."""
        with storage.create("a/b.bin") as stream:
            stream.write(b"one ")
            stream.write(b"two")
            assert "a/b.bin" not in storage.list()
            assert storage.stat("a/b.bin") is None
        assert storage.read("a/b.bin") == b"one two"
        info = storage.stat("a/b.bin")
        assert info is not None
        assert info.size_bytes == 7

    def test_create_empty_file_reads_back_empty(self, storage: Storage) -> None:
        """An empty file is a file."""
        write_file(storage, "empty", b"")
        assert storage.read("empty") == b""

    def test_create_body_raises_leaves_no_file(self, storage: Storage) -> None:
        """An error in the block publishes nothing and leaves no staged file."""

        def write_half() -> None:
            with storage.create("a.bin") as stream:
                stream.write(b"half")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_half()
        assert storage.list() == []

    def test_create_error_of_body_is_raised_unchanged(self, storage: Storage) -> None:
        """Only errors of storage are translated, not the errors of the block."""
        with pytest.raises(FileNotFoundError, match="source"), storage.create("a.bin"):
            raise FileNotFoundError("source")

    def test_create_existing_file_with_same_bytes_succeeds(self, storage: Storage) -> None:
        """Two workers may write the same file."""
        write_file(storage, "a.bin", b"same")
        write_file(storage, "a.bin", b"same")
        assert storage.read("a.bin") == b"same"
        assert storage.list() == ["a.bin"]

    def test_create_existing_file_with_different_bytes_raises_output_error(
        self, storage: Storage
    ) -> None:
        """No file is ever overwritten by `create`."""
        write_file(storage, "a.bin", b"first")
        with pytest.raises(OutputError, match=r"a\.bin"):
            write_file(storage, "a.bin", b"second")
        assert storage.read("a.bin") == b"first"
        assert storage.list() == ["a.bin"]

    def test_overwrite_existing_file_has_new_content_only_when_complete(
        self, storage: Storage
    ) -> None:
        """`overwrite` replaces a file when its block succeeds, and creates a missing file."""
        write_file(storage, "a.bin", b"first, longer")
        for content in (b"second", b"third"):
            before = storage.read("a.bin")
            with storage.overwrite("a.bin") as stream:
                stream.write(content)
                assert storage.read("a.bin") == before
            assert storage.read("a.bin") == content
        with storage.overwrite("b/new.bin") as stream:
            stream.write(b"new")
        assert storage.read("b/new.bin") == b"new"
        assert storage.list() == ["a.bin", "b/new.bin"]

    def test_overwrite_body_raises_keeps_existing_file(self, storage: Storage) -> None:
        """An error in the block changes nothing and leaves no staged file."""
        write_file(storage, "a.bin", b"first")

        def write_half() -> None:
            with storage.overwrite("a.bin") as stream:
                stream.write(b"half")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_half()
        assert storage.read("a.bin") == b"first"
        assert storage.list() == ["a.bin"]

    def test_replace_existing_file_has_new_content(self, storage: Storage) -> None:
        """`replace` overwrites a file, even if the new content is shorter."""
        storage.replace("a.json", b"first, longer")
        storage.replace("a.json", b"second")
        assert storage.read("a.json") == b"second"
        assert storage.list() == ["a.json"]

    def test_compare_and_swap_changed_file_raises_locked(self, storage: Storage) -> None:
        """`compare_and_swap` replaces only the content that the caller expects."""
        storage.replace("a.json", b"first")
        storage.compare_and_swap("a.json", b"first", b"second")
        with pytest.raises(LockedError, match=r"a\.json"):
            storage.compare_and_swap("a.json", b"first", b"third")
        assert storage.read("a.json") == b"second"

    def test_read_range_returns_bytes_up_to_end_of_file(self, storage: Storage) -> None:
        """A range that reaches beyond the end of the file is truncated."""
        write_file(storage, "a.bin", b"0123456789")
        assert storage.read_range("a.bin", 2, 3) == b"234"
        assert storage.read_range("a.bin", 8, 5) == b"89"

    def test_open_random_access_reads_parts_at_any_offset(self, storage: Storage) -> None:
        """Adjacent parts have the requested sizes, unless the file ends earlier."""
        write_file(storage, "a.bin", b"0123456789")
        reader = storage.open_random_access("a.bin")
        assert reader.read(7, 2) == b"78"
        assert reader.read(0, 2) == b"01"
        assert reader.read_parts(4, (2, 3, 4)) == [b"45", b"678", b"9"]

    def test_open_file_reads_and_seeks(self, storage: Storage) -> None:
        """`open` returns a seekable binary stream."""
        content = os.urandom(3 << 20)
        write_file(storage, "a.bin", content)
        with storage.open("a.bin") as stream:
            assert stream.read(10) == content[:10]
            assert stream.seek(1 << 20) == 1 << 20
            assert stream.read() == content[1 << 20 :]
            assert stream.read(1) == b""
            stream.seek(0)
            assert stream.read() == content

    @pytest.mark.parametrize("name", ["no.bin", "a.bin/below", "no/such.bin"])
    def test_missing_file_has_no_stat_and_reading_raises_file_not_found(
        self, storage: Storage, name: str
    ) -> None:
        """A missing file raises FileNotFoundError, also if its folder is missing or is a file."""
        write_file(storage, "a.bin", b"x")
        assert storage.stat(name) is None
        for read in (storage.read, storage.open, lambda name: storage.read_range(name, 0, 1)):
            with pytest.raises(FileNotFoundError):
                read(name)

    def test_stat_folder_is_none(self, storage: Storage) -> None:
        """A folder is not a file."""
        write_file(storage, "folder/a.bin", b"x")
        assert storage.stat("folder") is None

    def test_list_is_sorted_and_recursive(self, storage: Storage) -> None:
        """`list` returns all files, sorted by code point; a missing folder is empty."""
        assert storage.list() == []
        for name in ("b", "a/c", "a/b/d", "a.b"):
            write_file(storage, name, b"x")
        assert storage.list() == ["a.b", "a/b/d", "a/c", "b"]

    def test_list_folder_returns_only_its_files(self, storage: Storage) -> None:
        """Files whose name only begins with the folder name are not in the folder."""
        for name in ("a/b", "a/c/d", "ab", "a.b"):
            write_file(storage, name, b"x")
        assert storage.list("a") == ["a/b", "a/c/d"]
        assert storage.list("no") == []

    def test_list_info_of_remote_storage_agrees_with_stat(self, storage: Storage) -> None:
        """A listing reports the size and the ETag that `stat` reports."""
        for name in ("a/b", "c"):
            write_file(storage, name, name.encode())
        if isinstance(storage, RemoteStorage):
            found = dict(storage.list_info())
            assert found == {name: storage.stat(name) for name in ("a/b", "c")}

    def test_remove_missing_file_or_folder_is_ignored(self, storage: Storage) -> None:
        """Removing twice is not an error."""
        for name in ("a", "b/c", "b/d/e", "f"):
            write_file(storage, name, b"x")
        storage.remove("a")
        storage.remove("a")
        storage.remove_folder("b")
        storage.remove_folder("b")
        assert storage.list() == ["f"]

    def test_lock_second_writer_is_refused_until_release(self, storage: Storage) -> None:
        """A folder has one writer."""
        with storage.lock(), pytest.raises(LockedError), storage.lock():
            pass
        with storage.lock():
            pass

    def test_lock_survives_removal_of_work_folder(self, storage: Storage) -> None:
        """A run may remove `.shardmill`, and continue: it is still the only writer."""
        with storage.lock() as lock:
            write_file(storage, ".shardmill/plan.json", b"x")
            write_file(storage, ".shardmill/shards/1.msgpack", b"x")
            storage.remove_folder(".shardmill")
            lock.ensure_held()
            with pytest.raises(LockedError), storage.lock():
                pass
        assert storage.list() == []

    def test_storage_pickle_round_trip_reads_same_file(self, storage: Storage) -> None:
        """Runners send a storage to other processes."""
        write_file(storage, "a.bin", b"x")
        copy = pickle.loads(pickle.dumps(storage))  # noqa: S301 - its own bytes
        assert copy.url == storage.url
        assert copy.read("a.bin") == b"x"
