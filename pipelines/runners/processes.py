"""A job that processes shards in child processes of this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

from pipelines.runners.base import ShardTask, run_shard
from records.runtime.processes import ProcessPool


class ProcessesJob:
    """Processes shards in child processes; see `pipelines.runners.base.Job`.

    A shard whose process is killed is processed again, in a new process.
    """

    def __init__(self, task: ShardTask, names: Sequence[str], processes: int) -> None:
        self._names = names
        self._images = 0
        self._pool: ProcessPool[str, bool] = ProcessPool(
            partial(run_shard, task), processes, self._add
        )

    def run(self) -> None:
        """See `Job.run`."""
        with self._pool:
            for _, is_done in self._pool.map_unordered(self._names):
                # The other shards would fail with the same error: a full disk stays full.
                if not is_done.result():
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
