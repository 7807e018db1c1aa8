"""What every storage keeps to."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from records.errors import LockedError, OutputError
from records.storage import Storage, write_file

if TYPE_CHECKING:
    from pathlib import Path


class StorageConformance(ABC):
    """What holds for any storage; a subclass says where its folder is."""

    @pytest.fixture
    @abstractmethod
    def storage(self, tmp_path: Path) -> Storage: ...

    def test_create_file_is_visible_only_when_complete(self, storage: Storage) -> None:
        with storage.create("a/b.bin") as stream:
            stream.write(b"one ")
            stream.write(b"two")
            assert "a/b.bin" not in storage.list()
        assert storage.read("a/b.bin") == b"one two"
        facts = storage.stat("a/b.bin")
        assert facts is not None
        assert facts.size_bytes == 7

    def test_create_empty_file_reads_back_empty(self, storage: Storage) -> None:
        write_file(storage, "empty", b"")
        assert storage.read("empty") == b""

    def test_create_body_raises_leaves_no_file(self, storage: Storage) -> None:
        def write_half() -> None:
            with storage.create("a.bin") as stream:
                stream.write(b"half")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_half()
        assert storage.list() == []

    def test_create_error_of_body_is_raised_unchanged(self, storage: Storage) -> None:
        with pytest.raises(FileNotFoundError, match="source"), storage.create("a.bin"):
            raise FileNotFoundError("source")

    def test_create_existing_file_with_same_bytes_succeeds(self, storage: Storage) -> None:
        write_file(storage, "a.bin", b"same")
        write_file(storage, "a.bin", b"same")
        assert storage.read("a.bin") == b"same"
        assert storage.list() == ["a.bin"]

    def test_create_existing_file_with_different_bytes_raises_output_error(
        self, storage: Storage
    ) -> None:
        write_file(storage, "a.bin", b"first")
        with pytest.raises(OutputError, match="is there already and holds something else"):
            write_file(storage, "a.bin", b"second")
        assert storage.read("a.bin") == b"first"
        assert storage.list() == ["a.bin"]

    def test_replace_existing_file_has_new_content(self, storage: Storage) -> None:
        storage.replace("a.json", b"first, longer")
        storage.replace("a.json", b"second")
        assert storage.read("a.json") == b"second"
        assert storage.list() == ["a.json"]

    def test_compare_and_swap_changed_file_raises_locked(self, storage: Storage) -> None:
        storage.replace("a.json", b"first")
        storage.compare_and_swap("a.json", b"first", b"second")
        with pytest.raises(LockedError, match=r"a\.json: another run has replaced this file"):
            storage.compare_and_swap("a.json", b"first", b"third")
        assert storage.read("a.json") == b"second"

    def test_read_range_returns_bytes_up_to_end_of_file(self, storage: Storage) -> None:
        write_file(storage, "a.bin", b"0123456789")
        assert storage.read_range("a.bin", 2, 3) == b"234"
        assert storage.read_range("a.bin", 8, 5) == b"89"

    def test_open_file_reads_and_seeks(self, storage: Storage) -> None:
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
        write_file(storage, "a.bin", b"x")
        assert storage.stat(name) is None
        for read in (storage.read, storage.open, lambda name: storage.read_range(name, 0, 1)):
            with pytest.raises(FileNotFoundError):
                read(name)

    def test_stat_folder_is_none(self, storage: Storage) -> None:
        write_file(storage, "folder/a.bin", b"x")
        assert storage.stat("folder") is None

    def test_list_is_sorted_and_recursive(self, storage: Storage) -> None:
        assert storage.list() == []
        for name in ("b", "a/c", "a/b/d", "a.b"):
            write_file(storage, name, b"x")
        assert storage.list() == ["a.b", "a/b/d", "a/c", "b"]

    def test_list_folder_returns_only_its_files(self, storage: Storage) -> None:
        for name in ("a/b", "a/c/d", "ab", "a.b"):
            write_file(storage, name, b"x")
        assert storage.list("a") == ["a/b", "a/c/d"]
        assert storage.list("no") == []

    def test_remove_missing_file_or_folder_is_ignored(self, storage: Storage) -> None:
        for name in ("a", "b/c", "b/d/e", "f"):
            write_file(storage, name, b"x")
        storage.remove("a")
        storage.remove("a")
        storage.remove_folder("b")
        storage.remove_folder("b")
        assert storage.list() == ["f"]

    def test_lock_second_writer_is_refused_until_release(self, storage: Storage) -> None:
        with storage.lock(), pytest.raises(LockedError), storage.lock():
            pass
        with storage.lock():
            pass

    def test_lock_survives_removal_of_work_folder(self, storage: Storage) -> None:
        with storage.lock() as hold:
            write_file(storage, ".shardmill/plan.json", b"x")
            storage.remove_folder(".shardmill")
            hold.ensure_held()
        assert storage.list() == []

    def test_storage_pickle_round_trip_reads_same_file(self, storage: Storage) -> None:
        import pickle

        write_file(storage, "a.bin", b"x")
        copy = pickle.loads(pickle.dumps(storage))
        assert copy.url == storage.url
        assert copy.read("a.bin") == b"x"
