"""Any worker over all shards, in this process and in others."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.runners import map_shards
from records.errors import CorruptDataError, StorageError, UsageError
from records.format.layout import WORK_FOLDER
from records.runtime.shard_worker import ProgressCallback, RunnerConfig, WorkerResult
from records.storage import open_storage

NAMES = tuple(f"part-{number:05}" for number in range(6))


@dataclass(frozen=True)
class WriteName:
    """Writes a file of each shard's name, but for those that fail."""

    folder: str
    failing: Sequence[str] = ()

    def __call__(self, name: str, count: ProgressCallback) -> WorkerResult:
        if name in self.failing:
            raise CorruptDataError("this one is bad", shard=name, record=4)
        open_storage(self.folder).replace(name, str(os.getpid()).encode())
        count(2)
        return {"length": len(name)}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {WORK_FOLDER}


def test_map_shards_processes_each_shard_once_and_returns_results(tmp_path: Path) -> None:
    facts = map_shards(WriteName(str(tmp_path)), NAMES, str(tmp_path), images=12)
    assert facts == {name: {"length": 10} for name in NAMES}
    assert names_in(tmp_path) == set(NAMES)


def test_map_shards_multi_processing_runs_in_other_processes(tmp_path: Path) -> None:
    flags = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    worker = WriteName(str(tmp_path))
    map_shards(worker, NAMES, str(tmp_path), runner=RunnerConfig(flags=flags))
    assert names_in(tmp_path) == set(NAMES)
    assert str(os.getpid()) not in {(tmp_path / name).read_text() for name in NAMES}


def test_map_shards_worker_error_is_raised_unchanged(tmp_path: Path) -> None:
    worker = WriteName(str(tmp_path), failing=NAMES[2:4])
    with pytest.raises(CorruptDataError, match="part-00002 record 4: this one is bad"):
        map_shards(worker, NAMES, str(tmp_path))
    assert names_in(tmp_path) == set(NAMES[:2])


def test_map_shards_rerun_after_failure_succeeds(tmp_path: Path) -> None:
    with pytest.raises(CorruptDataError):
        map_shards(WriteName(str(tmp_path), failing=NAMES), NAMES, str(tmp_path))
    assert len(map_shards(WriteName(str(tmp_path)), NAMES, str(tmp_path))) == len(NAMES)


def test_map_shards_on_progress_receives_increasing_counts(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    was_told = threading.Event()

    def on_progress(done: int, total: int) -> None:
        told.append((done, total))
        was_told.set()

    def work(name: str, count: ProgressCallback) -> WorkerResult:
        was_told.wait(60)
        return WriteName(str(tmp_path))(name, count)

    map_shards(work, NAMES, str(tmp_path), images=12, on_progress=on_progress)
    assert told[0] == (0, 12)
    assert told == sorted(told)


def test_map_shards_interrupted_waits_for_worker_and_keeps_finished_shards(tmp_path: Path) -> None:
    begun = threading.Event()

    def work(name: str, count: ProgressCallback) -> WorkerResult:
        if name == NAMES[1]:
            begun.set()
            while True:
                count(0)
        return WriteName(str(tmp_path))(name, count)

    def interrupt(_done: int, _total: int) -> None:
        if begun.is_set():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_shards(work, NAMES, str(tmp_path), on_progress=interrupt)
    assert names_in(tmp_path) == set(NAMES[:1])
    assert "pipeline" not in {thread.name for thread in threading.enumerate()}


def test_map_shards_pipeline_error_is_raised_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("of Beam")

    monkeypatch.setattr("pipelines.runners.local.run_shards", fail)
    with pytest.raises(RuntimeError, match="of Beam"):
        map_shards(WriteName(str(tmp_path)), NAMES, str(tmp_path))


def test_map_shards_workers_not_sharing_folder_raise_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.runners.local.run_shards", lambda *_: None)
    with pytest.raises(StorageError, match="accessible to all workers"):
        map_shards(WriteName(str(tmp_path)), NAMES, str(tmp_path))


@pytest.mark.parametrize(
    "runner", [RunnerConfig("NoSuchRunner"), RunnerConfig(flags=("--no_such_flag",))]
)
def test_map_shards_unknown_runner_or_flag_is_refused_before_work(
    tmp_path: Path, runner: RunnerConfig
) -> None:
    with pytest.raises(UsageError):
        map_shards(WriteName(str(tmp_path)), NAMES, str(tmp_path / "out"), runner=runner)
    assert not (tmp_path / "out").exists()
