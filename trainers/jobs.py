"""Interface of the service that runs workers over shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records.runtime.shard_worker import OnProgress, RunnerConfig, Worker, WorkerResult


class ShardExecutor(Protocol):
    """The service that runs workers. The command line provides `pipelines.runners`."""

    def check_runner(self, runner: RunnerConfig) -> None:
        """Raise UsageError if Beam does not support the runner or one of its flags."""

    def map_shards(
        self,
        worker: Worker,
        names: Sequence[str],
        folder: str,
        runner: RunnerConfig,
        *,
        images: int,
        on_progress: OnProgress,
    ) -> dict[str, WorkerResult]:
        """Run the worker on every shard; return its results by shard name.

        See `pipelines.runners.map_shards`.
        """
