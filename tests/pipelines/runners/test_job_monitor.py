"""Beam jobs that report nothing or do not end are cancelled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.runners.base import ShardTask
from pipelines.runners.driver import watch
from pipelines.runners.heartbeat import WorkerHeartbeat
from pipelines.runners.job_monitor import BeamJob
from records.errors import RunnerError, StorageError


class Job:
    """What Beam gives of a job that goes on until it is cancelled."""

    def __init__(self, *, failure: str | None = None) -> None:
        self._failure = failure
        self.cancelled = threading.Event()

    def wait_until_finish(self) -> None:
        if self._failure is None:
            self.cancelled.wait(60)
        raise RuntimeError(self._failure or "Pipeline failed in state CANCELLED")

    def cancel(self) -> None:
        self.cancelled.set()


def make_job(job: Job, tmp_path: Path, *, start_seconds: float = 60) -> BeamJob:
    @contextmanager
    def submit() -> Iterator[Job]:
        yield job

    task = ShardTask(lambda *_: None, str(tmp_path), "a", is_retried=True)
    return BeamJob(task, submit, start_seconds)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.runners.heartbeat.LOCAL_SECONDS", 0.02)


def test_beam_job_no_worker_starts_is_cancelled_after_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipelines.runners.job_monitor.WARN_AFTER_SECONDS", 0.1)
    job = Job()
    with pytest.raises(RunnerError, match="no worker has started within"):
        watch(make_job(job, tmp_path, start_seconds=0.5), 10, None)
    assert job.cancelled.is_set()
    (message,) = set(logged.messages)
    assert message.startswith("no worker has started for")


def test_beam_job_workers_stop_reporting_raises_runner_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.runners.job_monitor.SILENCE_SECONDS", 0.5)
    monkeypatch.setattr("pipelines.runners.job_monitor.STOP_SECONDS", 0.1)
    told: list[int] = []

    def on_progress(done: int, total: int) -> None:
        if not told:
            WorkerHeartbeat(str(tmp_path), "a").beat(12)
        told.append(done)
        assert total == 10

    with pytest.raises(RunnerError, match="no worker has reported progress"):
        watch(make_job(Job(), tmp_path), 10, on_progress)
    assert told[-1] == 10  # a shard that was done twice is counted twice


def test_beam_job_failed_job_returns_parsed_error(tmp_path: Path) -> None:
    job = Job(failure="Traceback\nrecords.errors.StorageError: gone\n")
    failure = watch(make_job(job, tmp_path), 10, None)
    assert isinstance(failure, StorageError)
    assert not list(tmp_path.rglob("a.json"))


def test_beam_job_keyboard_interrupt_cancels_job(tmp_path: Path) -> None:
    job = Job()

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(make_job(job, tmp_path), 10, interrupt)
    assert job.cancelled.is_set()
