"""What is done with every shard, by a worker that knows nothing of Beam, and how each one ended.

Beam turns whatever went wrong into a bare RuntimeError. So what a retry cannot mend is kept in the
work folder for the driver to read, and raises nothing: a runner would only try again. What may pass
is raised, where the runner then does.

How far a run in this process has come, and whether it is to stop.

The runner blocks and its workers are threads it made itself, so what they share with the command
line is found by the run's name. In another process the name leads to a counter nobody reads.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from pipelines import run_state
from pipelines.run_state import WorkerResult
from records.errors import ShardmillError, StorageError
from records.storage import open_storage

ProgressCallback = Callable[[int], None]
"""Told now and then of images done, with how many since; raises where the run is to stop."""


class Worker(Protocol):
    """Does one shard, by its name. It goes to other processes, so it can be pickled.

    What it returns is kept for the driver; None where what it wrote says it all.
    """

    def __call__(self, name: str, count: ProgressCallback, /) -> WorkerResult | None:
        """Do the shard of that name, telling `count` of its images."""


class ShardTask(msgspec.Struct, frozen=True):
    """A worker, and what all its shards have in common; sent to each process that works.

    Args:
        worker: what does a shard.
        folder: the folder, local or a URL, in whose work folder the driver looks.
        run_id: the run's name, of no meaning.
        is_retried: whether the runner tries again what raises.
    """

    worker: Worker
    folder: str
    run_id: str
    is_retried: bool


def run_shards(task: ShardTask, names: Iterable[str]) -> None:
    """Have shards done here, one after another: what a runner does that has one worker."""
    count = run_control(task.run_id).add
    for name in names:
        run_shard(task, name, count)


def run_shard(task: ShardTask, name: str, count: ProgressCallback) -> bool:
    """Have one shard done; whether it was. Raises StorageError where the runner tries again."""
    try:
        count(0)
        facts = task.worker(name, count)
    except CancelledError:
        return False  # whoever started the run has stopped it, and needs no word of it
    except ShardmillError as error:
        run_state.write_failure(open_storage(task.folder), name, error)
        if isinstance(error, StorageError) and task.is_retried:
            raise
        # Shards that wait in this process would meet the same: a full disk stays full.
        run_control(task.run_id).cancel()
        return False
    if facts is not None:
        run_state.write_result(open_storage(task.folder), name, facts)
    return True


class CancelledError(Exception):
    """The run was asked to stop."""


class RunControl:
    """A counter of images, and a request to stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self.images = 0

    def add(self, images: int) -> None:
        """Count images as done.

        Raises:
            CancelledError: the run is to stop.
        """
        with self._lock:
            self.images += images
        if self._cancelled:
            raise CancelledError

    def cancel(self) -> None:
        """Ask every worker to stop at its next image."""
        self._cancelled = True


_runs: defaultdict[str, RunControl] = defaultdict(RunControl)


def run_control(run_id: str) -> RunControl:
    """The progress of a run by its name."""
    return _runs[run_id]


def unregister(run_id: str) -> None:
    """Drop what was kept of a run."""
    _runs.pop(run_id, None)
