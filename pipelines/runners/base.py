"""Shard tasks, jobs, and the cancellation of runs.

Beam turns the exception of a worker into a RuntimeError in the driver. Permanent errors are
therefore written to the work folder, where the driver reads them. They are not raised, because a
runner would retry the shard in vain. Temporary errors are raised, so that the runner retries.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import NamedTuple, Protocol

import msgspec

from pipelines import run_state
from records.errors import RefusedReadError, ShardmillError, StorageError
from records.runtime.shard_worker import CancelledError, ProgressCallback, Worker, WorkerResult
from records.storage import open_storage


class ShardTask(msgspec.Struct, frozen=True):
    """A worker and the parameters that its shards share; sent to every worker process.

    Attributes:
        worker: the function that processes a shard.
        folder: the local path or URL of the folder whose work folder the driver reads.
        run_id: a random ID of the run.
        is_retried: whether the runner calls the worker again after an exception.
        saves_results: whether the driver reads results from the work folder.
    """

    worker: Worker
    folder: str
    run_id: str
    is_retried: bool
    saves_results: bool = True


class Job(Protocol):
    """A task in progress: one thread calls `run`, a second thread `poll` and, to cancel, `stop`.

    `done` has the results of the shards that the job knows to be done; more may be done.
    """

    done: dict[str, WorkerResult | None]

    def run(self) -> None:
        """Process every shard; return when all are done or the job is stopped."""

    def poll(self) -> int:
        """Return the number of processed images. Raises RunnerError if no worker makes progress."""

    def stop(self, ended: threading.Event) -> None:
        """Cancel the job and wait until it ends; keep finished shards, remove staged shards."""


class Done(NamedTuple):
    """The result of a worker for a shard that is done."""

    result: WorkerResult | None


def run_shard(task: ShardTask, name: str, count: ProgressCallback) -> Done | None:
    """Process one shard; return None if it is not done.

    Raises:
        StorageError: a temporary error that the runner retries.
    """
    try:
        count(0)
        result = task.worker(name, count)
    except CancelledError:
        return None  # the driver cancelled the run, and needs no report
    except ShardmillError as error:
        run_state.write_failure(open_storage(task.folder), name, error)
        is_temporary = isinstance(error, StorageError) and not isinstance(error, RefusedReadError)
        if is_temporary and task.is_retried:
            raise
        # The other shards of this process would fail with the same error: a full disk stays full.
        run_control(task.run_id).cancel()
        return None
    if result is not None and task.saves_results:
        run_state.write_result(open_storage(task.folder), name, result)
    return Done(result)


class RunControl:
    """A counter of processed images, and a request to stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self.images = 0

    def add(self, images: int) -> None:
        """Count processed images. Raises CancelledError if the run is cancelled."""
        with self._lock:
            self.images += images
        if self._cancelled:
            raise CancelledError

    def cancel(self) -> None:
        """Make every worker of this process stop at its next image."""
        self._cancelled = True


# A runner passes no objects to its workers. Workers that are threads of this process find the
# control of their run by its ID. In any other process, the counter is not read.
_runs: defaultdict[str, RunControl] = defaultdict(RunControl)


def run_control(run_id: str) -> RunControl:
    """Return the control of a run in this process."""
    return _runs[run_id]


def unregister(run_id: str) -> None:
    """Remove the control of a run."""
    _runs.pop(run_id, None)
