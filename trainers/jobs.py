"""Interfaces of services: runs of workers over shards, conversion of sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from records.runtime.shard_worker import OnProgress, RunnerConfig, Worker, WorkerResult
    from trainers.options import TrainOptions


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


class SourceDataset(NamedTuple):
    """The dataset of a training run.

    Attributes:
        location: the path or URL of the dataset, which may be that of a converted source.
        planned: the conversion that a dry run would do first, as JSON; None if the dataset exists.
    """

    location: str
    planned: dict[str, object] | None = None


class DatasetMaker(Protocol):
    """The service that converts a source. The command line provides `pipelines.convert`."""

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
        """Return the dataset at a location; see `shardmill.source_dataset.make_dataset`."""
