"""What a worker does with a shard that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import transforms, work_folder
from pipelines.progress import CancelledError, progress_of
from pipelines.transforms import WriteShardFn
from pipelines.write import Job
from records.errors import StorageError, TargetError
from records.images import ImageOptions
from records.storage import open_storage


@pytest.fixture
def job(tmp_path: Path) -> Job:
    target = str(tmp_path / "target")
    return Job(
        source=str(tmp_path),
        target=target,
        labels=("cat",),
        images=ImageOptions(),
        workers=1,
        run_id=str(tmp_path),
        is_retried=True,
    )


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def write_shard(_job: Job, _name: str) -> int:
        raise error

    monkeypatch.setattr(transforms, "write_shard", write_shard)


def test_what_no_retry_mends_is_told_and_stops_the_rest(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, TargetError("the disk is full"))
    assert not WriteShardFn(job).process("train-00000-of-00002.tfrecord")
    with pytest.raises(TargetError, match="the disk is full"):
        work_folder.raise_failure(open_storage(job.target), "train-00000-of-00002.tfrecord")
    with pytest.raises(CancelledError):
        progress_of(job.run_id).add(0)


def test_what_may_pass_is_raised_for_the_runner_to_retry(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, StorageError("the connection was cut"))
    with pytest.raises(StorageError):
        WriteShardFn(job).process("train-00000-of-00002.tfrecord")
    progress_of(job.run_id).add(0)
