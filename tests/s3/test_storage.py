"""S3 storage: the conformance tests, and the requests it makes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from records.errors import InputNotFoundError, OutputError
from records.storage import RemoteStorage, Storage, open_storage, write_file
from records.storage.objects import s3 as client
from records.storage.objects.s3 import S3Client, connect
from records.testing.storage_conformance import StorageConformance
from tests.s3.server import S3Server


class TestS3(StorageConformance):
    @pytest.fixture
    def storage(self, s3: str) -> Storage:
        return open_storage(s3)


class TestBucketRoot(StorageConformance):
    @pytest.fixture
    def storage(self, s3: str, server: S3Server) -> Storage:
        bucket = s3.rpartition("/")[2]
        server.make_bucket(bucket)
        return open_storage(f"s3://{bucket}/")


@pytest.fixture
def storage(s3: str) -> Storage:
    return open_storage(s3)


@pytest.fixture
def requests(storage: Storage) -> list[str]:
    """Record the operation of every request of this process from now on."""
    operations: list[str] = []

    def record(event_name: str, **_: Any) -> None:
        operations.append(event_name.rpartition(".")[2])

    connect().meta.events.register("before-send.s3", record)
    return operations


def test_s3_storage_folder_markers_are_not_files(
    storage: Storage, server: S3Server, s3: str
) -> None:
    bucket, _, folder = s3.removeprefix("s3://").partition("/")
    server.client().put_object(Bucket=bucket, Key=f"{folder}/marked/", Body=b"")
    write_file(storage, "marked/a", b"x")
    assert storage.list() == ["marked/a"]


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return content that is uploaded in three parts of the smallest size S3 allows."""
    monkeypatch.setattr(client, "ONE_REQUEST_BYTES", 6 << 20)
    monkeypatch.setattr(client, "PART_BYTES", 5 << 20)
    return bytes(range(256)) * 4 * (11 << 10)


class TestParts:
    def test_s3_multipart_upload_large_file_uses_parts(
        self, storage: Storage, requests: list[str], in_parts: bytes
    ) -> None:
        write_file(storage, "a.bin", in_parts)
        begin, *parts, end = requests
        assert (begin, end) == ("CreateMultipartUpload", "CompleteMultipartUpload")
        assert parts == ["UploadPart"] * 3
        assert storage.read("a.bin") == in_parts

    def test_s3_replace_with_large_content_uses_parts(
        self, storage: Storage, requests: list[str], in_parts: bytes
    ) -> None:
        storage.replace("a.bin", b"small")
        requests.clear()
        storage.replace("a.bin", in_parts)
        assert requests[1:-1] == ["UploadPart"] * 3
        assert storage.read("a.bin") == in_parts

    def test_s3_replace_whose_last_response_is_lost_succeeds(
        self, storage: Storage, in_parts: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = S3Client.request

        def request(self: S3Client, operation: str, key: str, **given: Any) -> dict[str, Any]:
            response = send(self, operation, key, **given)
            if operation == "complete_multipart_upload":
                return send(self, operation, key, **given)
            return response

        monkeypatch.setattr(S3Client, "request", request)
        storage.replace("a.bin", in_parts)
        assert storage.read("a.bin") == in_parts

    def test_s3_multipart_upload_interrupted_is_aborted(
        self,
        storage: Storage,
        server: S3Server,
        s3: str,
        in_parts: bytes,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        real = S3Client._upload_parts  # noqa: SLF001

        def failing(*given: object) -> object:
            yield next(iter(real(*given)))  # type: ignore[arg-type]
            raise KeyboardInterrupt

        monkeypatch.setattr(S3Client, "_upload_parts", failing)
        with pytest.raises(KeyboardInterrupt):
            write_file(storage, "a.bin", in_parts)
        assert storage.list() == []
        bucket = s3.removeprefix("s3://").partition("/")[0]
        assert not server.client().list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_s3_storage_list_needs_one_request_per_1000_keys(
    storage: Storage, requests: list[str]
) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: storage.replace(f"{n % 7}/{n:04}", b""), range(1001)))
    requests.clear()
    assert len(storage.list()) == 1001
    assert requests == ["ListObjectsV2"] * 2
    requests.clear()
    storage.remove_folder("3")
    assert requests == ["ListObjectsV2", "DeleteObjects"]
    assert len(storage.list()) == 1001 - 143


def test_s3_storage_long_list_is_partitioned_by_folders(
    storage: Storage, server: S3Server, s3: str, requests: list[str]
) -> None:
    names = [
        f"{split}/{name}/{n:04}" for split in ("a", "b") for name in "cde" for n in range(1500)
    ]
    for folder in {name.rpartition("/")[0] for name in names}:
        (server.buckets / s3.removeprefix("s3://") / folder).mkdir(parents=True)
    for name in names:  # requests would take half a minute
        (server.buckets / s3.removeprefix("s3://") / name).write_bytes(b"x")
    assert isinstance(storage, RemoteStorage)
    found = list(storage.list_info())
    assert [name for name, _ in found] == names
    assert {info.size_bytes for _, info in found} == {1}
    # 9 pages, 4 of them in sequence; folders at the top, in a, in b; one more page per range.
    assert len(requests) <= 9 + 3 + 4
    assert set(requests) == {"ListObjectsV2"}


def test_s3_storage_each_operation_makes_expected_requests(
    storage: Storage, requests: list[str]
) -> None:
    def requests_of(action: Callable[[], object]) -> list[str]:
        requests.clear()
        action()
        return requests

    assert requests_of(lambda: write_file(storage, "a", b"abc")) == ["PutObject"]
    assert requests_of(lambda: storage.replace("b", b"abc")) == ["PutObject"]
    assert requests_of(lambda: storage.read("a")) == ["GetObject"]
    assert requests_of(lambda: storage.read_range("a", 1, 1)) == ["GetObject"]
    assert requests_of(lambda: storage.stat("a")) == ["HeadObject"]
    assert requests_of(lambda: storage.stat("no")) == ["HeadObject"]
    assert requests_of(lambda: storage.remove("b")) == ["DeleteObject"]
    assert requests_of(lambda: storage.open("a").read()) == ["HeadObject", "GetObject"]
    storage.replace("b", bytes(1 << 20))
    assert requests_of(lambda: storage.open("b").read()) == ["HeadObject", "GetObject"]


def test_s3_storage_range_past_end_is_empty(storage: Storage) -> None:
    write_file(storage, "empty", b"")
    write_file(storage, "a", b"abc")
    assert storage.read_range("empty", 0, 64) == b""
    assert storage.read_range("a", 3, 64) == b""
    assert storage.read_range("a", 0, 0) == b""
    with storage.open("empty") as stream:
        assert stream.read() == b""


class TestMissingBucket:
    @pytest.fixture
    def storage(self, s3: str) -> Storage:
        return open_storage("s3://no-such-bucket/data")

    def test_s3_storage_read_from_missing_bucket_raises_input_not_found(
        self, storage: Storage
    ) -> None:
        with pytest.raises(
            InputNotFoundError, match=r"no-such-bucket.*: the bucket does not exist"
        ):
            storage.read("a")
        with pytest.raises(InputNotFoundError, match="the bucket does not exist"):
            storage.list()

    def test_s3_storage_write_to_missing_bucket_raises_output_error_without_creating_it(
        self, storage: Storage, requests: list[str]
    ) -> None:
        with pytest.raises(OutputError, match="the bucket does not exist"):
            write_file(storage, "a", b"")
        with pytest.raises(OutputError, match="the bucket does not exist"), storage.lock():
            pass
        assert set(requests) == {"PutObject"}
