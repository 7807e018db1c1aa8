"""A job that processes shards one after another in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from pipelines.runners.base import ShardTask, run_control, run_shard
from records.runtime.shard_worker import WorkerResult


class LocalJob:
    """Processes shards one after another in this process; see `pipelines.runners.base.Job`."""

    def __init__(self, task: ShardTask, names: Sequence[str]) -> None:
        self.done: dict[str, WorkerResult | None] = {}
        self._task = task
        self._names = names
        self._control = run_control(task.run_id)

    def run(self) -> None:
        """See `Job.run`."""
        run_shards(self._task, self._names, self.done)

    def poll(self) -> int:
        """See `Job.poll`."""
        return self._control.images

    def stop(self, ended: threading.Event) -> None:
        """See `Job.stop`."""
        self._control.cancel()
        ended.wait()


def run_shards(task: ShardTask, names: Iterable[str], done: dict[str, WorkerResult | None]) -> None:
    """Process shards one after another, and add the result of each that is done."""
    count = run_control(task.run_id).add
    for name in names:
        if (ended := run_shard(task, name, count)) is not None:
            done[name] = ended.result
