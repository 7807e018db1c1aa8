"""The `ShardExecutor` of the trainers, implemented with `pipelines`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records.runtime.shard_worker import OnProgress, RunnerConfig, Worker, WorkerResult


class PipelineExecutor:
    """Runs a worker on shards with the runners of `pipelines`, which the first call imports."""

    def check_runner(self, runner: RunnerConfig) -> None:
        """Raise UsageError if the runner or one of its flags is unknown."""
        from pipelines.cli.output import silence_beam_logs
        from pipelines.runners import check_runner

        silence_beam_logs()
        check_runner(runner)

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
        """Return the result of the worker for each shard; see `pipelines.runners.map_shards`."""
        from pipelines.cli.output import silence_beam_logs
        from pipelines.runners import map_shards

        silence_beam_logs()
        return map_shards(
            worker, names, folder, runner=runner, images=images, on_progress=on_progress
        )
