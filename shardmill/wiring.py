"""The `ShardExecutor` of the trainers, made of pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.runners.local import RunnerConfig
    from trainers.jobs import OnProgress, Runner, Worker


class PipelineExecutor:
    """Runs a worker over shards by the runners of `pipelines`, imported at the first call."""

    def check_runner(self, runner: Runner) -> None:
        """Raise UsageError if Beam does not know the runner or one of its flags."""
        _configure(runner).check()

    def map_shards(
        self,
        worker: Worker,
        names: Sequence[str],
        folder: str,
        runner: Runner,
        *,
        images: int,
        on_progress: OnProgress,
    ) -> dict[str, dict[str, Any]]:
        """Return what the worker returned for each shard; see `pipelines.runners.map_shards`."""
        from pipelines.runners.map_shards import map_shards

        return map_shards(
            worker,
            names,
            folder,
            runner=_configure(runner),
            images=images,
            on_progress=on_progress,
        )


def _configure(runner: Runner) -> RunnerConfig:
    from pipelines.cli.output import silence_beam_logs
    from pipelines.runners.local import RunnerConfig

    silence_beam_logs()
    return RunnerConfig(runner.name, runner.flags)
