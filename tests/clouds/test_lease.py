"""The lease of a folder: one live holder, none that was suspended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from records.errors import LockedError, OutputError, StorageError
from records.format.layout import LEASE
from records.storage import write_file
from records.storage.objects import open_object_storage
from records.storage.objects.storage import ObjectStorage
from records.storage.remote import lease
from records.storage.remote.lease import Lease

RUNS = 6
SHORT_SECONDS = 2.0


@pytest.fixture
def storage(cloud: str) -> ObjectStorage:
    return open_object_storage(cloud)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the lease to two seconds; tests do not renew it."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", SHORT_SECONDS)


def acquire(storage: ObjectStorage) -> Lease:
    """Acquire the lease without a thread that renews it, as a suspended run holds it."""
    acquired = Lease(storage)
    acquired.acquire()
    return acquired


def wait_until_expired(storage: ObjectStorage) -> None:
    """Wait until the lease has expired by the store's clock."""
    while (seen := storage.get(LEASE)) is not None and seen.age_seconds is not None:
        if seen.age_seconds >= SHORT_SECONDS:
            return
        threading.Event().wait(0.1)


def run_in_parallel(action: Callable[[], Any]) -> list[Any]:
    """Run an action on several threads in parallel; return each result or error."""
    barrier = threading.Barrier(RUNS)

    def act(_: int) -> Any:
        barrier.wait()
        try:
            return action()
        except Exception as error:
            return error

    with ThreadPoolExecutor(RUNS) as threads:
        return list(threads.map(act, range(RUNS)))


def test_lease_concurrent_runs_only_one_acquires(storage: ObjectStorage) -> None:
    for _ in range(5):
        found = run_in_parallel(lambda: acquire(storage))
        held = [one for one in found if isinstance(one, Lease)]
        assert len(held) == 1
        assert sum(isinstance(one, LockedError) for one in found) == RUNS - 1
        held[0].release()
        assert storage.list() == []


def test_lease_held_raises_locked_with_time_to_expiry(storage: ObjectStorage) -> None:
    acquire(storage)
    with pytest.raises(LockedError, match=r"its lease expires in (60|5\d) s"):
        acquire(storage)


def test_lease_expired_concurrent_runs_only_one_acquires(
    storage: ObjectStorage, short: None
) -> None:
    dead = acquire(storage)
    wait_until_expired(storage)
    found = run_in_parallel(lambda: acquire(storage))
    assert sum(isinstance(one, Lease) for one in found) == 1
    assert sum(isinstance(one, LockedError) for one in found) == RUNS - 1
    with pytest.raises(LockedError, match="another run took over"):
        dead.renew()


def test_lease_renew_after_takeover_raises_locked(storage: ObjectStorage, short: None) -> None:
    suspended = acquire(storage)
    wait_until_expired(storage)
    second = acquire(storage)
    for _ in range(2):
        with pytest.raises(LockedError, match="another run took over"):
            suspended.renew()
    with pytest.raises(LockedError):
        suspended.release()
    second.renew()
    second.release()
    with pytest.raises(LockedError):
        suspended.renew()
    assert storage.list() == []


def test_lease_renew_after_expiry_without_takeover_succeeds(
    storage: ObjectStorage, short: None
) -> None:
    suspended = acquire(storage)
    wait_until_expired(storage)
    suspended.renew()
    with pytest.raises(LockedError):
        acquire(storage)


def test_lease_is_renewed_while_lock_is_held(
    storage: ObjectStorage, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
    with storage.lock():
        threading.Event().wait(1.5 * SHORT_SECONDS)
        with pytest.raises(LockedError), storage.lock():
            pass
    assert storage.list() == []


def test_lease_survives_removal_of_work_folder(storage: ObjectStorage) -> None:
    with storage.lock():
        write_file(storage, ".shardmill/plan.json", b"{}")
        storage.remove_folder(".shardmill")
        assert storage.list() == [LEASE]
        with pytest.raises(LockedError), storage.lock():
            pass
    assert storage.list() == []


def test_lease_error_in_body_releases_it(storage: ObjectStorage) -> None:
    with pytest.raises(ZeroDivisionError), storage.lock():
        raise ZeroDivisionError
    assert storage.list() == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"token": 1}', b"\xff"])
def test_lease_damaged_file_counts_as_expired(storage: ObjectStorage, content: bytes) -> None:
    storage.replace(LEASE, content)
    with storage.lock():
        pass


_Kind = TypeVar("_Kind", bound=ObjectStorage)


def reopen(url: str, kind: type[_Kind]) -> _Kind:
    """Open a folder as a kind of storage with a defect."""
    return kind(open_object_storage(url).client, url.rpartition("/")[2])


class _LosesResponses(ObjectStorage):
    """Loses responses: a request succeeds, and its retry is refused."""

    loses_responses = False

    def put_if_absent(self, name: str, data: bytes) -> str:
        tag = super().put_if_absent(name, data)
        if self.loses_responses:
            return super().put_if_absent(name, data)
        return tag

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        new = super().put_if_match(name, data, tag)
        if self.loses_responses:
            return super().put_if_match(name, data, tag)
        return new


class TestLostResponses:
    @pytest.fixture
    def storage(self, cloud: str) -> _LosesResponses:
        storage = reopen(cloud, _LosesResponses)
        storage.loses_responses = True
        return storage

    def test_lease_lost_response_of_acquire_is_recognized(self, storage: _LosesResponses) -> None:
        held = acquire(storage)
        with pytest.raises(LockedError):
            acquire(storage)
        held.renew()
        held.release()
        assert storage.list() == []

    def test_compare_and_swap_lost_response_is_recognized(self, storage: _LosesResponses) -> None:
        storage.replace("a", b"old")
        storage.compare_and_swap("a", b"old", b"new")
        assert storage.read("a") == b"new"
        with pytest.raises(LockedError, match="another run has replaced this file"):
            storage.compare_and_swap("a", b"old", b"newer")

    def test_lease_lost_response_of_takeover_is_recognized(
        self, storage: _LosesResponses, short: None
    ) -> None:
        dead = acquire(storage)
        wait_until_expired(storage)
        acquire(storage).renew()
        with pytest.raises(LockedError):
            dead.renew()


def test_lease_renew_applied_but_failed_can_be_repeated(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = acquire(storage)
    real = storage.put_if_match

    def fail(*given: Any) -> str:
        real(*given)
        raise StorageError("storage did not respond")

    with monkeypatch.context() as broken:
        broken.setattr(storage, "put_if_match", fail)
        with pytest.raises(StorageError):
            held.renew()
    held.renew()
    held.release()
    assert storage.list() == []


class _IgnoresIfMatch(ObjectStorage):
    """A store that knows `If-None-Match` but ignores `If-Match`."""

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        return self.client.put(self._key(name), data)


class _IgnoresConditions(_IgnoresIfMatch):
    """A store that ignores every condition."""

    def put_if_absent(self, name: str, data: bytes) -> str:
        return self.client.put(self._key(name), data)


@pytest.mark.parametrize("kind", [_IgnoresIfMatch, _IgnoresConditions])
def test_lease_store_without_conditional_writes_raises_output_error(
    cloud: str, kind: type[ObjectStorage]
) -> None:
    storage = reopen(cloud, kind)
    with pytest.raises(OutputError, match="does not support conditional writes") as refused:
        acquire(storage)
    assert refused.value.exit_code == 73
    assert storage.list() == []


def test_compare_and_swap_concurrent_calls_only_one_succeeds(storage: ObjectStorage) -> None:
    storage.replace("a", b"old")
    numbers = iter(range(RUNS))
    found = run_in_parallel(lambda: storage.compare_and_swap("a", b"old", b"%d" % next(numbers)))
    assert found.count(None) == 1
    assert sum(isinstance(one, LockedError) for one in found) == RUNS - 1
