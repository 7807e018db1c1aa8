"""The service that runs workers over shards; the command line provides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records.runtime.shard_worker import OnProgress, RunnerConfig, Worker, WorkerResult


class ShardExecutor(Protocol):
    """Runs workers; `pipelines.runners` does, and trainers do not import it."""

    def check_runner(self, runner: RunnerConfig) -> None:
        """Raise UsageError if Beam does not know the runner or one of its flags."""

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
        """Return the worker's result for each shard; see `pipelines.runners.map_shards`."""
