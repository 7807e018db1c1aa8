"""Local and fsspec storage, locks and full disks."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import pytest

from records.errors import CorruptDataError, LockedError, OutputError, StorageError
from records.format.digest import digest_stream
from records.format.tfrecord import read_frames
from records.storage import Storage, atomic, open_storage, write_file
from records.storage.fsspec import FsspecStorage
from records.storage.local import LocalStorage
from records.testing.storage_conformance import StorageConformance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class TestLocalStorage(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return open_storage(tmp_path / "target é")

    def test_local_storage_concurrent_writers_leave_one_complete_file(
        self, storage: Storage
    ) -> None:
        def write(content: bytes) -> bool:
            try:
                write_file(storage, "a.bin", content)
            except OutputError:
                return False
            return True

        contents = [bytes([number]) * 1000 for number in range(4)]
        with ThreadPoolExecutor(4) as threads:
            won = list(threads.map(write, contents))
        assert storage.read("a.bin") in contents
        assert won.count(True) >= 1
        assert contents[won.index(True)] == storage.read("a.bin")


class TestFileUrl(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return open_storage((tmp_path / "target é").as_uri())


class TestMemory(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return open_storage(f"memory://{uuid.uuid4().hex}/target")


class TestStoreWithoutConditionalWrites(StorageConformance):
    """Local files over fsspec, which as sftp and others has no "only if absent"."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return FsspecStorage((tmp_path / "target").as_uri())


def test_fsspec_storage_url_in_messages_has_no_credentials() -> None:
    storage = FsspecStorage("memory://user:secret@host/a?token=secret")
    assert "secret" not in storage.url + storage.display_name("b")


_HOLD_THE_LOCK = """
import sys, time
from records.storage import open_storage
with open_storage(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds the lock of `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD_THE_LOCK, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_local_lock_held_by_process_is_refused_until_sigkill(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    storage = open_storage(tmp_path)
    with pytest.raises(LockedError) as refused, storage.lock():
        pass
    assert refused.value.exit_code == 75
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with storage.lock():
        pass


def test_local_lock_file_removed_while_held_allows_new_lock(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    with storage.lock():
        shutil.rmtree(tmp_path / ".shardmill")
        with open_storage(tmp_path).lock(), pytest.raises(LockedError), storage.lock():
            pass


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """Limit the size of the files that this process writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size_bytes", [10_000, 5 << 20])
def test_local_create_file_size_limit_raises_output_error_and_leaves_no_file(
    tmp_path: Path, size_bytes: int
) -> None:
    """Small content fails when it is flushed, large content inside the body."""
    storage = LocalStorage(str(tmp_path))
    with (
        pytest.raises(OutputError, match=r"a\.bin: cannot be written: the file exceeds"),
        file_size_limit(1000),
    ):
        write_file(storage, "a.bin", bytes(size_bytes))
    assert storage.list() == []


@pytest.mark.parametrize("function", ["fsync", "link", "mkdir", "open"])
@pytest.mark.parametrize(
    ("number", "told"),
    [(28, "the disk is full"), (30, "the file system is read-only"), (122, "quota")],
)
def test_local_create_failed_system_call_raises_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int, told: str
) -> None:
    storage = LocalStorage(str(tmp_path / "target"))

    def fail(*_arguments: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(OutputError, match=told) as found:
            write_file(storage, "a.bin", b"content")
    assert found.value.exit_code == 73
    assert storage.stat("a.bin") is None or storage.read("a.bin") == b"content"
    assert [name for name in storage.list() if name != "a.bin"] == []


def test_local_create_without_hard_links_still_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    storage = LocalStorage(str(tmp_path))
    write_file(storage, "a.bin", b"content")
    write_file(storage, "a.bin", b"content")
    with pytest.raises(OutputError, match="already exists and differs from the new file"):
        write_file(storage, "a.bin", b"other")
    assert storage.list() == ["a.bin"]


def test_local_create_file_in_place_of_folder_raises_output_error(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"")
    with pytest.raises(OutputError, match="a file exists where a folder is needed"):
        write_file(LocalStorage(str(tmp_path / "target")), "a.bin", b"x")


def test_local_read_of_folder_raises_corrupt_data_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CorruptDataError, match="this is a folder, not a file") as found:
        LocalStorage(str(tmp_path)).read("folder")
    assert found.value.exit_code == 66


def test_open_storage_unknown_protocol_raises_usage_error_with_hint() -> None:
    from records.errors import UsageError

    with pytest.raises(UsageError, match="Protocol not known: nosuch; see the table of stores"):
        open_storage("nosuch://bucket/a")


READS: dict[str, Callable[[BinaryIO], object]] = {
    "read": lambda stream: stream.read(),
    "read of a size": lambda stream: stream.read(10),
    "read of a large size": lambda stream: stream.read(8 << 20),
    "readline": lambda stream: stream.readline(),
    "readinto": lambda stream: stream.readinto(bytearray(10)),  # type: ignore[attr-defined]
    "lines": list,
    "TFRecord": lambda stream: list(read_frames(stream)),
    "digest": digest_stream,
}


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file whose reads fail")
@pytest.mark.parametrize("read", READS)
def test_local_read_that_fails_is_a_storage_error_for_every_reader(read: str) -> None:
    # The memory of a process is a file; no process has memory at the address 0.
    storage = LocalStorage("/proc/self/task")
    name = f"{os.getpid()}/mem"
    with (
        pytest.raises(StorageError, match=f"{name}: cannot be read, got .*error"),
        storage.open(name) as stream,
    ):
        READS[read](stream)
    with pytest.raises(StorageError, match=f"{name}: cannot be read"):
        storage.read(name)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
def test_staging_folder_that_cannot_be_listed_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    storage = LocalStorage(str(tmp_path))
    storage.replace("a.bin", b"a")
    monkeypatch.setattr("records.storage.atomic.remove_staged_files", fail)
    with pytest.raises(StorageError, match="staging"):
        storage.remove_unused_staging()


@pytest.mark.parametrize("call", ["replace", "create"])
def test_staging_folder_that_another_process_removes_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    removed: list[Path] = []
    new_staged_path = atomic.new_staged_path

    def remove_first(path: Path, folder: Path) -> Path:
        if len(removed) < 3:
            folder.rmdir()
            folder.parent.rmdir()
            removed.append(folder)
        return new_staged_path(path, folder)

    monkeypatch.setattr(atomic, "new_staged_path", remove_first)
    storage = LocalStorage(str(tmp_path))
    if call == "replace":
        storage.replace("a.bin", b"a")
    else:
        with storage.create("a.bin") as staged:
            staged.write(b"a")
    assert storage.read("a.bin") == b"a"
    assert len(removed) == 3
