"""Heartbeats of workers: visibility, versions, progress, the end of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.runners.heartbeat import (
    WorkerHeartbeat,
    end_run,
    package_versions,
    read_progress,
    start_run,
)
from records.errors import RunnerError, StorageError
from records.format.layout import WORK_FOLDER
from records.runtime.shard_worker import CancelledError
from records.storage import Storage, open_storage


@pytest.fixture
def output(tmp_path: Path) -> Storage:
    return open_storage(tmp_path)


def test_heartbeat_second_beat_within_interval_is_not_written(
    output: Storage, tmp_path: Path
) -> None:
    start_run(output, "a")
    worker = WorkerHeartbeat(str(tmp_path), "a")
    worker.check_in()
    worker.beat(7)
    worker.beat(8)  # so soon after the last word it is kept for the next
    assert list(read_progress(str(tmp_path), "a").values()) == [7]


def test_heartbeat_run_folder_not_shared_raises_storage_error(
    output: Storage, tmp_path: Path
) -> None:
    start_run(output, "a")
    with pytest.raises(StorageError, match="does not see the files of this run"):
        WorkerHeartbeat(str(tmp_path / "elsewhere"), "a").check_in()
    assert not (tmp_path / "elsewhere").exists()


def test_heartbeat_different_worker_version_is_refused(
    output: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_run(output, "a")
    other = {**package_versions(), "shardmill": "0.0.1"}
    monkeypatch.setattr("pipelines.runners.heartbeat.package_versions", lambda: other)
    with pytest.raises(RunnerError, match=r"expected shardmill .*, got shardmill 0\.0\.1"):
        WorkerHeartbeat(str(tmp_path), "a").check_in()


def test_heartbeat_run_ended_cancels_worker_and_removes_progress(
    output: Storage, tmp_path: Path
) -> None:
    start_run(output, "a")
    worker = WorkerHeartbeat(str(tmp_path), "a")
    worker.check_in()
    end_run(output, "a")
    with pytest.raises(CancelledError):
        worker.beat(7)
    assert read_progress(str(tmp_path), "a") == {}


def test_heartbeat_newer_run_cancels_workers_of_previous_run(
    output: Storage, tmp_path: Path
) -> None:
    start_run(output, "a")
    worker = WorkerHeartbeat(str(tmp_path), "a")
    worker.beat(7)
    start_run(output, "b")
    with pytest.raises(CancelledError):
        WorkerHeartbeat(str(tmp_path), "a").beat(9)
    assert {path.name for path in (tmp_path / WORK_FOLDER / "runs").iterdir()} == {"b.json"}
    assert read_progress(str(tmp_path), "b") == {}


def test_heartbeat_object_store_reports_progress_and_cancels(
    memory: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.runners.heartbeat.REMOTE_SECONDS", 0.0)
    folder = "memory://bucket/data"
    start_run(open_storage(folder), "a")
    assert read_progress(folder, "a") == {}
    worker = WorkerHeartbeat(folder, "a")
    worker.check_in()
    for images in (7, 9):
        worker.beat(images)
        assert list(read_progress(folder, "a").values()) == [images]
    end_run(open_storage(folder), "a")
    with pytest.raises(CancelledError):
        worker.beat(12)
