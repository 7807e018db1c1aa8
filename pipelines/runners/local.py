"""A job that processes shards one after another in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from pipelines.runners.base import ShardTask, run_control, run_shard


class LocalJob:
    """Processes shards one after another in this process; see `pipelines.runners.base.Job`."""

    def __init__(self, task: ShardTask, names: Sequence[str]) -> None:
        self._task = task
        self._names = names
        self._control = run_control(task.run_id)

    def run(self) -> None:
        """See `Job.run`."""
        run_shards(self._task, self._names)

    def poll(self) -> int:
        """See `Job.poll`."""
        return self._control.images

    def stop(self, ended: threading.Event) -> None:
        """See `Job.stop`."""
        self._control.cancel()
        ended.wait()


def run_shards(task: ShardTask, names: Iterable[str]) -> None:
    """Process shards one after another."""
    count = run_control(task.run_id).add
    for name in names:
        run_shard(task, name, count)
