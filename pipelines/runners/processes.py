"""A job that processes shards in child processes of this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

from pipelines.runners.base import Done, ShardTask, run_shard
from records.runtime.processes import ProcessPool
from records.runtime.shard_worker import WorkerResult


class ProcessesJob:
    """Processes shards in child processes; see `pipelines.runners.base.Job`.

    A shard whose process is killed is processed again, in a new process.
    """

    def __init__(self, task: ShardTask, names: Sequence[str], processes: int) -> None:
        self.done: dict[str, WorkerResult | None] = {}
        self._names = names
        self._images = 0
        self._pool: ProcessPool[str, Done | None] = ProcessPool(
            partial(run_shard, task), processes, self._add
        )

    def run(self) -> None:
        """See `Job.run`."""
        with self._pool:
            for number, future in self._pool.map_unordered(self._names):
                if (done := future.result()) is not None:
                    self.done[self._names[number]] = done.result
                else:  # the other shards would fail with the same error: a full disk stays full
                    self._pool.stop()

    def poll(self) -> int:
        """See `Job.poll`."""
        return self._images

    def stop(self, ended: threading.Event) -> None:
        """See `Job.stop`."""
        self._pool.stop()
        ended.wait()

    def _add(self, images: int) -> None:
        self._images += images
