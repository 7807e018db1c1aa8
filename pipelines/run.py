"""A planned run: options, images, plan and output."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
import pyarrow.compute as pc

from pipelines.options import ConvertOptions
from pipelines.planning.plan import Plan
from pipelines.run_state import write_shard_plans
from pipelines.runners import run_on_shards
from pipelines.sources import Sources
from records.format.layout import index_name
from records.format.manifest import Manifest
from records.format.metadata.description import Description
from records.runtime.logging import log_line
from records.runtime.processes import Division, divide_cpus
from records.runtime.shard_worker import OnProgress, RunnerConfig, Worker, WorkerResult
from records.runtime.telemetry import span
from records.storage import Storage, absolute_location, is_in_memory, open_storage
from records.storage.work_folder import Command

if TYPE_CHECKING:
    from pipelines.incremental.diff import SourceDiff


@dataclass(frozen=True)
class Run:
    """All decisions that are made before a shard is written.

    Attributes:
        options: the options of the user.
        sources: the images to convert.
        plan: the assignment of images to shards.
        output: the storage of the dataset to write.
        base: the manifest of the dataset to append to, if any.
        diff: the differences between the source and that dataset, if any.
        started_at: the start of the run on the monotonic clock, in seconds.
        command: the command that runs it, and that resumes it.
        arguments: its arguments that `options` does not have, for the provenance.
        description: the description that the dataset gets, if any; otherwise it keeps its own.
    """

    options: ConvertOptions
    sources: Sources
    plan: Plan
    output: Storage
    base: Manifest | None = None
    diff: SourceDiff | None = None
    started_at: float = field(default_factory=time.monotonic)
    command: Command = "convert"
    arguments: Mapping[str, str] = field(default_factory=dict)
    description: Description | msgspec.UnsetType = msgspec.UNSET

    def has_other_description(self, manifest: Manifest) -> bool:
        """Return whether the dataset of a manifest would get another description."""
        return bool(self.description) and self.description != manifest.description

    def divide_cpus(self, seconds_per_image: float, seconds_per_byte: float) -> Division:
        """Return the number of processes, and of threads in each, for the work of this run.

        Args:
            seconds_per_image: the estimated time of an image on one CPU.
            seconds_per_byte: the estimated time of a byte of a source file on one CPU.
        """
        options, shards = self.options, self.plan.all_shards
        # All copies share one table, and so do all shards of new images.
        tables = [part[0].table for part in (self.plan.copies, self.plan.shards) if part]
        source_bytes = sum(pc.sum(table["size_bytes"]).as_py() for table in tables)
        is_divisible = not (options.runner_config.needs_beam or self._is_in_memory())
        return divide_cpus(
            len(shards),
            seconds_per_image * sum(map(len, shards)) + seconds_per_byte * source_bytes,
            processes=options.processes if is_divisible else 1,
            threads=options.workers,
        )

    def _is_in_memory(self) -> bool:
        """Return whether a file to read or write is in the memory of this process."""
        if any(map(is_in_memory, (self.options.source, self.options.output))):
            return True
        if not self.plan.shards:
            return False
        urls = self.plan.shards[0].table["url"]  # all shards share one table
        has_urls = urls.null_count < len(urls)
        return has_urls and bool(pc.any(pc.starts_with(urls, "memory://")).as_py())

    @span("write")
    def write_shards(
        self,
        make_worker: Callable[[str], Worker],
        division: Division,
        on_progress: OnProgress | None,
    ) -> Mapping[str, WorkerResult | None]:
        """Write the plan of every shard, and call a worker for it.

        Args:
            make_worker: the function that returns the worker. Its argument is the path or URL of
                the folder with the plans of the shards. The worker writes a shard and then its
                index, unless both exist.
            division: the number of processes.
            on_progress: a callback that receives the number of processed images and the total
                number.

        Returns:
            The results of the workers of this machine, by the name of the shard.

        Raises:
            ShardmillError: the first permanent error of a shard.
            KeyboardInterrupt: the user interrupted the run; finished shards are kept.
        """
        options = self.options
        runner = RunnerConfig(options.runner, options.beam_flags, division.processes)
        if division.processes > 1:
            log_line(str(division), **division._asdict())
        with self._write_plans(runner) as plans:
            return run_on_shards(
                make_worker(plans),
                [shard.name for shard in self.plan.all_shards],
                options.output,
                runner,
                is_done=lambda name: self.output.stat(index_name(name)) is not None,
                saves_results=False,
                images=sum(map(len, self.plan.all_shards)),
                on_progress=on_progress,
            )

    @contextmanager
    def _write_plans(self, runner: RunnerConfig) -> Iterator[str]:
        """Write the plans of the shards, and yield the folder or URL with them.

        Processes of this machine need no requests for them: they read them from its disk.
        """
        if self.output.is_local or runner.needs_beam:
            write_shard_plans(self.output, self.plan)
            yield absolute_location(self.options.output)
            return
        with TemporaryDirectory(prefix="shardmill-") as folder:
            write_shard_plans(open_storage(folder), self.plan)
            yield folder
