"""One shard: done, cancelled, failed permanently or temporarily."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import run_state
from pipelines.runners.base import (
    ShardTask,
    run_control,
    run_shard,
)
from pipelines.runners.beam import ProcessShard
from pipelines.runners.heartbeat import end_run, read_progress, start_run
from records.errors import (
    AccessDeniedError,
    CorruptDataError,
    LockedError,
    OutputError,
    RefusedReadError,
    ShardmillError,
    StorageError,
    UsageError,
)
from records.runtime.shard_worker import CancelledError, ProgressCallback, Worker, WorkerResult
from records.storage import Storage, open_storage

SHARD = "generations/0002/train-00000-of-00002.tfrecord"


class OurError(UsageError):
    """An error of another package."""

    exit_code = 99


@pytest.fixture
def folder(tmp_path: Path) -> Storage:
    return open_storage(tmp_path)


def make_task(tmp_path: Path, worker: Worker) -> ShardTask:
    return ShardTask(worker, str(tmp_path), run_id=tmp_path.name, is_retried=True)


def counting(task: ShardTask) -> ProgressCallback:
    return run_control(task.run_id).add


def failing_with(error: Exception) -> Worker:
    def fail(_name: str, _count: ProgressCallback) -> WorkerResult:
        raise error

    return fail


def test_run_shard_worker_result_is_saved_in_run_state(tmp_path: Path, folder: Storage) -> None:
    def work(name: str, count: ProgressCallback) -> WorkerResult:
        count(3)
        return {"name": name, "images": 3}

    task = make_task(tmp_path, work)
    start_run(folder, task.run_id)
    assert ProcessShard().process(SHARD, task) == [SHARD]
    assert run_state.read_result(folder, SHARD) == {"name": SHARD, "images": 3}
    assert run_control(task.run_id).images == 3
    assert len(read_progress(task.folder, task.run_id)) == 1


def test_run_shard_worker_without_result_writes_nothing(tmp_path: Path) -> None:
    task = make_task(tmp_path, lambda _name, _count: None)
    assert run_shard(task, SHARD, counting(task))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        OutputError("the disk is full", path="there", hint="free some"),
        AccessDeniedError("access is denied", path="there", got="403"),
        RefusedReadError("storage refused a request", path="there", got="301"),
        CorruptDataError(
            "bad", path="x", shard="s", record=3, offset=7, expected=1, got=2, hint="h"
        ),
    ],
)
def test_run_shard_permanent_error_is_recorded_and_cancels_run(
    tmp_path: Path, folder: Storage, error: ShardmillError
) -> None:
    task = make_task(tmp_path, failing_with(error))
    assert not run_shard(task, SHARD, counting(task))
    with pytest.raises(type(error)) as caught:
        run_state.raise_failure(folder, SHARD)
    assert (str(caught.value), caught.value.exit_code) == (str(error), error.exit_code)
    with pytest.raises(CancelledError):
        run_control(task.run_id).add(0)


def test_run_shard_error_of_other_package_keeps_exit_code(tmp_path: Path, folder: Storage) -> None:
    task = make_task(tmp_path, failing_with(OurError("no")))
    assert not run_shard(task, SHARD, counting(task))
    with pytest.raises(UsageError, match="no") as caught:
        run_state.raise_failure(folder, SHARD)
    assert caught.value.exit_code == 99


def test_run_shard_transient_error_is_raised_for_retry(tmp_path: Path) -> None:
    task = make_task(tmp_path, failing_with(StorageError("the connection was cut")))
    with pytest.raises(StorageError):
        run_shard(task, SHARD, counting(task))
    run_control(task.run_id).add(0)


def test_run_shard_cancelled_run_starts_no_shard(
    tmp_path: Path, folder: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.runners.heartbeat.LOCAL_SECONDS", 0.0)
    called: list[str] = []
    task = make_task(tmp_path, lambda name, _count: called.append(name))
    start_run(folder, task.run_id)
    process_shard = ProcessShard()
    assert process_shard.process("first", task) == ["first"]
    end_run(folder, task.run_id)
    assert process_shard.process(SHARD, task) == []
    assert called == ["first"]


def test_process_shard_of_a_replaced_run_is_refused(tmp_path: Path, folder: Storage) -> None:
    task = make_task(tmp_path, failing_with(AssertionError("was called")))
    start_run(folder, task.run_id)
    start_run(folder, "later")
    with pytest.raises(LockedError, match="another run has started to write here"):
        ProcessShard().process(SHARD, task)


def test_process_shard_error_message_has_all_fields(tmp_path: Path, folder: Storage) -> None:
    task = make_task(tmp_path, failing_with(StorageError("cut", path="there", hint="wait")))
    start_run(folder, task.run_id)
    with pytest.raises(StorageError) as caught:
        ProcessShard().process(SHARD, task)
    assert caught.value.args == ("there: cut; wait",)
