"""Network faults: retries, and one line after the last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from records.errors import StorageError
from records.storage import write_file
from records.storage.objects import client, open_object_storage
from records.storage.objects.s3 import disconnect
from records.storage.objects.storage import ObjectStorage
from tests.s3.proxy import NO_FAULT, Fault, Proxy, always, random_faults, running
from tests.s3.server import S3Server

FAULTS = [
    Fault("refuse"),
    Fault("cut-request"),
    Fault("cut-response"),
    Fault("lose-response"),
    Fault(status=500),
    Fault(status=503),
]


@pytest.fixture
def proxy(s3: str, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Start a proxy that all requests of this process pass."""
    with running(Proxy(server.port)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        disconnect()
        yield proxy


@pytest.fixture
def storage(s3: str, proxy: Proxy) -> ObjectStorage:
    return open_object_storage(s3, patience_seconds=20)


def once(fault: Fault) -> Callable[[str, str], Fault]:
    """Return a plan with a fault for the first request alone."""
    faults = iter([fault])
    return lambda _method, _path: next(faults, NO_FAULT)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_s3_request_failing_once_is_retried(
    storage: ObjectStorage, proxy: Proxy, fault: Fault
) -> None:
    content = os.urandom(300_000)
    for action in (
        lambda: write_file(storage, "a", content),
        lambda: storage.replace("b", content),
        lambda: storage.read("a"),
        lambda: storage.read_range("a", 5, 100_000),
        lambda: storage.stat("a"),
        storage.list,
        lambda: storage.remove("b"),
        lambda: storage.remove_folder("c"),
    ):
        proxy.plan = once(fault)
        before = len(proxy.seen)
        action()
        assert len(proxy.seen) > before
        assert proxy.faults[before] == fault
    proxy.plan = once(fault)
    with storage.lock() as hold:
        proxy.plan = once(fault)
        hold.ensure_held()
        proxy.plan = once(fault)
    assert storage.list() == ["a"]
    assert storage.read("a") == content


def test_s3_random_request_failures_are_retried(storage: ObjectStorage, proxy: Proxy) -> None:
    proxy.plan = random_faults(3, 0.2)
    content = {f"{number}": os.urandom(50_000) for number in range(60)}
    with storage.lock() as hold:
        for name, data in content.items():
            write_file(storage, name, data)
            hold.ensure_held()
        assert {name: storage.read(name) for name in content} == content
    proxy.plan = always(NO_FAULT)
    assert storage.list() == sorted(content)


@pytest.mark.parametrize("fault", [Fault("refuse"), Fault(status=500), Fault(status=503)], ids=str)
def test_s3_request_failing_always_raises_storage_error_then_fails_fast(
    s3: str, proxy: Proxy, fault: Fault
) -> None:
    storage = open_object_storage(s3, patience_seconds=1)
    proxy.plan = always(fault)
    with pytest.raises(StorageError, match=r"s3://.*/a: storage .* after retries"):
        storage.read("a")
    attempts = len(proxy.seen)
    assert attempts > 2
    with pytest.raises(StorageError):
        storage.read("a")
    assert len(proxy.seen) == attempts + 1
    proxy.plan = always(NO_FAULT)
    assert storage.stat("a") is None
    proxy.plan = once(fault)
    assert storage.stat("a") is None


@pytest.mark.parametrize(
    ("fault", "exit_code"),
    [(Fault(status=401), 66), (Fault(status=403), 66), (Fault(status=301), 66)],
    ids=str,
)
def test_s3_refused_request_is_not_repeated(
    storage: ObjectStorage, proxy: Proxy, fault: Fault, exit_code: int
) -> None:
    proxy.plan = always(fault)
    with pytest.raises(StorageError, match=f"got {fault.status}") as found:
        storage.read("a")
    assert found.value.exit_code == exit_code
    # botocore looks for the region of a redirection itself.
    assert len(proxy.seen) == 1 or fault.status == 301


def test_s3_response_always_truncated_raises_storage_error(s3: str, proxy: Proxy) -> None:
    storage = open_object_storage(s3, patience_seconds=1)
    storage.replace("a", bytes(300_000))
    proxy.plan = always(Fault("cut-response"))
    with pytest.raises(StorageError, match="storage failed after retries"):
        storage.read("a")


def test_s3_server_without_response_raises_storage_error_after_timeout(
    s3: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "READ_SECONDS", 0.2)
    disconnect()
    proxy.plan = always(Fault("silence"))
    with pytest.raises(StorageError, match="does not respond after retries, got ReadTimeoutError"):
        open_object_storage(s3, patience_seconds=1).read("a")


def test_s3_server_unavailable_while_lock_is_held_raises_storage_error(
    s3: str, proxy: Proxy
) -> None:
    storage = open_object_storage(s3, patience_seconds=1)

    def lose_server() -> None:
        with storage.lock():
            proxy.plan = always(Fault("refuse"))
            storage.read("a")

    with pytest.raises(StorageError, match="does not respond"):
        lose_server()
