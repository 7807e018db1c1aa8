"""The services of `trainers.jobs`, implemented with `pipelines`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from records.runtime.shard_worker import OnProgress, RunnerConfig, Worker, WorkerResult
    from trainers.jobs import SourceDataset
    from trainers.options import TrainOptions


class PipelineExecutor:
    """Runs workers on shards, and converts sources; the first call imports `pipelines`."""

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

    def make_dataset(
        self,
        location: str,
        data: str | None,
        *,
        options: TrainOptions,
        run: str,
        is_resumed: bool,
        dry_run: bool,
        quiet: bool,
        on_message: Callable[[str], None],
    ) -> SourceDataset:
        """Return the dataset at a location, with a progress bar of the conversion of a source."""
        from records.runtime.logging import set_quiet
        from records.runtime.progress import progress_callback
        from shardmill.source_dataset import make_dataset

        if quiet:
            set_quiet()
        with progress_callback("converting", unit="images", quiet=quiet) as on_progress:
            return make_dataset(
                location,
                data,
                options=options,
                run=run,
                is_resumed=is_resumed,
                dry_run=dry_run,
                on_message=on_message,
                on_progress=on_progress,
            )
