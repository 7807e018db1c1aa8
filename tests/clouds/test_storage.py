"""Storage of three clouds: the conformance tests, conditional writes, large files, bad folders."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from records.errors import InputNotFoundError, OutputError, StorageError
from records.runtime.parallel_map import IO_THREADS
from records.storage import RemoteStorage, Storage, open_storage, write_file
from records.storage.objects import open_object_storage
from records.storage.objects.storage import ObjectStorage
from records.storage.remote.conditional import PreconditionFailedError
from records.testing.storage_conformance import StorageConformance
from tests.clouds.servers import BUCKET, CloudServer

WRITERS = 8


class TestCloud(StorageConformance):
    @pytest.fixture
    def storage(self, cloud: str) -> Storage:
        return open_storage(cloud)


@pytest.fixture
def storage(cloud: str) -> ObjectStorage:
    return open_object_storage(cloud)


def test_cloud_concurrent_writers_only_one_succeeds(storage: ObjectStorage) -> None:
    barrier = Barrier(WRITERS)

    def write(content: bytes) -> bool:
        barrier.wait()
        try:
            write_file(storage, "a.bin", content)
        except OutputError:
            return False
        return True

    contents = [bytes([number]) * 100_000 for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as threads:
        won = list(threads.map(write, contents))
    assert won.count(True) == 1
    assert storage.read("a.bin") == contents[won.index(True)]


def test_cloud_put_and_delete_check_tag(storage: ObjectStorage, server: CloudServer) -> None:
    first = storage.put_if_absent("a", b"1")
    with pytest.raises(FileExistsError):
        storage.put_if_absent("a", b"2")
    second = storage.put_if_match("a", b"2", first)
    with pytest.raises(PreconditionFailedError):
        storage.put_if_match("a", b"3", first)
    with pytest.raises(PreconditionFailedError):
        storage.put_if_match("absent", b"3", first)
    if server.scheme != "gs":  # fake-gcs-server 1.56 ignores the condition of a DELETE
        storage.delete_if_match("a", first)
    assert storage.read("a") == b"2"
    storage.delete_if_match("a", second)
    storage.delete_if_match("a", second)
    assert storage.list() == []


def test_cloud_age_is_measured_by_clock_of_store(storage: ObjectStorage) -> None:
    storage.replace("a", b"1")
    found = storage.get("a")
    assert found is not None
    assert found.age_seconds is not None
    assert abs(found.age_seconds) < 60  # the server caches its clock for a second


@pytest.fixture
def large(storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return content that is uploaded in parts."""
    import importlib

    module = importlib.import_module(type(storage.client).__module__)
    monkeypatch.setattr(module, "ONE_REQUEST_BYTES", 6 << 20)
    monkeypatch.setattr(module, "PART_BYTES", 5 << 20)
    return os.urandom(12 << 20)


def test_cloud_large_file_accepts_only_same_bytes_again(
    storage: ObjectStorage, large: bytes
) -> None:
    write_file(storage, "a.bin", large)
    assert storage.read("a.bin") == large
    write_file(storage, "a.bin", large)
    with pytest.raises(OutputError, match="already exists and differs from the new file"):
        write_file(storage, "a.bin", large + b"x")
    assert storage.read("a.bin") == large
    assert storage.read_range("a.bin", 5 << 20, 9) == large[5 << 20 :][:9]


def test_cloud_large_file_concurrent_writers_only_one_succeeds(
    storage: ObjectStorage, large: bytes
) -> None:
    def write(number: int) -> bool:
        try:
            write_file(storage, "a.bin", large + bytes([number]))
        except OutputError:
            return False
        return True

    with ThreadPoolExecutor(3) as threads:
        won = list(threads.map(write, range(3)))
    assert won.count(True) == 1
    assert storage.read("a.bin") == large + bytes([won.index(True)])


@pytest.mark.parametrize("name", ["a b", "é/ü", "x%41", "a?b#c", "+&=", "a'\"b"])
def test_cloud_special_characters_in_name_round_trip(storage: ObjectStorage, name: str) -> None:
    write_file(storage, name, b"x")
    assert storage.list() == [name]
    assert storage.read(name) == b"x"
    storage.remove(name)
    assert storage.list() == []


def test_cloud_long_listing_returns_all_files(storage: ObjectStorage) -> None:
    names = [f"{folder}/{number:04}" for folder in "abc" for number in range(400)]
    with ThreadPoolExecutor(IO_THREADS) as threads:
        list(threads.map(lambda name: storage.replace(name, b"x"), names))
    assert storage.list() == names
    assert isinstance(storage, RemoteStorage)
    assert {info.size_bytes for _, info in storage.list_info()} == {1}


def test_cloud_file_replaced_during_read_raises_storage_error(storage: ObjectStorage) -> None:
    storage.replace("a", bytes(20 << 20))
    with storage.open("a") as stream:
        stream.read(10)
        storage.replace("a", b"other")
        with pytest.raises(StorageError, match="replaced while it was read"):
            stream.read()


def test_cloud_missing_bucket_is_one_line(cloud: str, server: CloudServer) -> None:
    storage = open_object_storage(cloud.replace(BUCKET, "no-such-bucket"))
    with pytest.raises(InputNotFoundError, match=r"no-such-bucket: the bucket does not exist"):
        storage.list()
    with pytest.raises(OutputError, match=r"no-such-bucket: the bucket does not exist"):
        write_file(storage, "a", b"")
