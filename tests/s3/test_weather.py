"""Requests that fail are tried again; what does not pass by then is one line, and soon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from records.errors import StorageError
from records.storage import write_file
from records.storage.retry import RetryPolicy
from records.storage.s3.bucket import breaker
from records.storage.s3.client import DEFAULT_LIMITS, disconnect
from records.storage.s3.storage import S3Storage
from tests.s3.proxy import FAIR, Fate, Proxy, always, running, storm
from tests.s3.server import S3Server

FATES = [
    Fate("refuse"),
    Fate("cut-request"),
    Fate("cut-answer"),
    Fate("lose-answer"),
    Fate(status=500),
    Fate(status=503),
]


@pytest.fixture
def proxy(s3: str, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that this process goes through."""
    with running(Proxy(server.port)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        disconnect()
        yield proxy


@pytest.fixture
def storage(s3: str, proxy: Proxy) -> S3Storage:
    return S3Storage(s3)


def once(fate: Fate) -> Callable[[str, str], Fate]:
    """A fate for the first request alone."""
    fates = iter([fate])
    return lambda _method, _path: next(fates, FAIR)


@pytest.mark.parametrize("fate", FATES, ids=str)
def test_s3_request_failing_once_is_retried(storage: S3Storage, proxy: Proxy, fate: Fate) -> None:
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
        proxy.weather = once(fate)
        before = len(proxy.seen)
        action()
        assert len(proxy.seen) > before
        assert proxy.fates[before] == fate
    proxy.weather = once(fate)
    with storage.lock() as hold:
        proxy.weather = once(fate)
        hold.ensure_held()
        proxy.weather = once(fate)
    assert storage.list() == ["a"]
    assert storage.read("a") == content


def test_s3_random_request_failures_are_retried(storage: S3Storage, proxy: Proxy) -> None:
    proxy.weather = storm(3, 0.2)
    content = {f"{number}": os.urandom(50_000) for number in range(60)}
    with storage.lock() as hold:
        for name, data in content.items():
            write_file(storage, name, data)
            hold.ensure_held()
        assert {name: storage.read(name) for name in content} == content
    proxy.weather = always(FAIR)
    assert storage.list() == sorted(content)


@pytest.mark.parametrize("fate", [Fate("refuse"), Fate(status=500), Fate(status=503)], ids=str)
def test_s3_request_failing_always_raises_storage_error_then_fails_fast(
    storage: S3Storage, proxy: Proxy, fate: Fate
) -> None:
    proxy.weather = always(fate)
    with pytest.raises(StorageError, match=r"s3://.*/a: storage .*, also after retries"):
        storage.read("a")
    assert len(proxy.seen) == DEFAULT_LIMITS.attempts
    with pytest.raises(StorageError):
        storage.read("a")
    assert len(proxy.seen) == DEFAULT_LIMITS.attempts + 1
    proxy.weather = always(FAIR)
    assert storage.stat("a") is None
    proxy.weather = once(fate)
    assert storage.stat("a") is None


def test_s3_response_always_truncated_raises_storage_error(s3: str, proxy: Proxy) -> None:
    storage = S3Storage(s3, RetryPolicy(attempts=3, first_wait_seconds=0))
    storage.replace("a", bytes(300_000))
    proxy.weather = always(Fate("cut-answer"))
    with pytest.raises(StorageError, match="storage failed, also after retries"):
        storage.read("a")


def test_s3_server_without_response_raises_storage_error_after_timeout(
    storage: S3Storage, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "limits", DEFAULT_LIMITS._replace(read_seconds=0.2))
    proxy.weather = always(Fate("silence"))
    with pytest.raises(
        StorageError, match="does not respond, also after retries, got ReadTimeoutError"
    ):
        storage.read("a")


def test_s3_server_unavailable_while_lock_is_held_raises_storage_error(
    storage: S3Storage, proxy: Proxy
) -> None:
    def lose_it() -> None:
        with storage.lock():
            proxy.weather = always(Fate("refuse"))
            storage.read("a")

    with pytest.raises(StorageError, match="does not respond"):
        lose_it()
