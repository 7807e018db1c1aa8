"""A planned run: options, images, plan and output."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pyarrow.compute as pc

from pipelines.options import ConvertOptions
from pipelines.planning.plan import Plan
from pipelines.runners import run_on_shards
from pipelines.sources import Sources
from records.format.layout import index_name
from records.format.manifest import Manifest
from records.format.metadata.description import Description
from records.runtime.logging import log_line
from records.runtime.processes import Division, divide_cpus
from records.runtime.shard_worker import OnProgress, RunnerConfig, Worker
from records.runtime.telemetry import span
from records.storage import Storage, is_in_memory
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
        self, worker: Worker, division: Division, on_progress: OnProgress | None
    ) -> None:
        """Call a worker for every planned shard.

        Args:
            worker: the function that writes a shard and then its index, unless both exist; it reads
                the plan of the shard from the work folder.
            division: the number of processes.
            on_progress: a callback that receives the number of processed images and the total
                number.

        Raises:
            ShardmillError: the first permanent error of a shard.
            KeyboardInterrupt: the user interrupted the run; finished shards are kept.
        """
        options = self.options
        runner = RunnerConfig(options.runner, options.beam_flags, division.processes)
        if division.processes > 1:
            log_line(str(division), **division._asdict())
        run_on_shards(
            worker,
            [shard.name for shard in self.plan.all_shards],
            options.output,
            runner,
            is_done=lambda name: self.output.stat(index_name(name)) is not None,
            images=sum(map(len, self.plan.all_shards)),
            on_progress=on_progress,
        )
