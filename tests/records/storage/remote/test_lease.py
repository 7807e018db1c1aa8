"""A lease whose renewal the store refuses for a while."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from records.errors import CorruptDataError, OutputError
from records.storage.fsspec import FsspecStorage
from records.storage.names import LEASE
from records.storage.remote import lease


@pytest.fixture
def storage() -> FsspecStorage:
    return FsspecStorage(f"memory://{uuid.uuid4().hex}/data")


def refuse(*_: object) -> str:
    raise OutputError("access is denied")


def test_lease_is_a_heartbeat_that_changes_during_run_and_then_is_gone(
    storage: FsspecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.001)
    renewed = threading.Event()
    real = storage.put_if_match

    def put_if_match(*given: Any) -> str:
        tag = real(*given)
        renewed.set()
        return tag

    with storage.lock():
        first = storage.read(LEASE)
        monkeypatch.setattr(storage, "put_if_match", put_if_match)
        assert renewed.wait(10)
        assert storage.read(LEASE) != first
    assert storage.list() == []


def test_lease_refused_renewal_is_repeated(
    storage: FsspecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.001)
    refused, renewed = threading.Event(), threading.Event()
    real = storage.put_if_match

    def put_if_match(*given: Any) -> str:
        if not refused.is_set():
            refused.set()
            refuse()
        renewed.set()
        return real(*given)

    with storage.lock():
        monkeypatch.setattr(storage, "put_if_match", put_if_match)
        assert refused.wait(10)
        assert renewed.wait(10)


def test_lease_refused_renewal_does_not_hide_error_of_block(
    storage: FsspecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        with storage.lock():
            monkeypatch.setattr(storage, "put_if_match", refuse)
            raise CorruptDataError("the index is damaged")

    with pytest.raises(CorruptDataError):
        fail()
