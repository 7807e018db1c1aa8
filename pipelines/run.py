"""A planned run: options, images, plan and output."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.options import ConvertOptions
from pipelines.planning.plan import Plan
from pipelines.runners import run_on_shards
from pipelines.sources import Sources
from records.format.layout import index_name
from records.format.manifest import Manifest
from records.runtime.shard_worker import OnProgress, Worker
from records.storage import Storage

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
    """

    options: ConvertOptions
    sources: Sources
    plan: Plan
    output: Storage
    base: Manifest | None = None
    diff: SourceDiff | None = None
    started_at: float = field(default_factory=time.monotonic)

    def write_shards(self, worker: Worker, on_progress: OnProgress | None) -> None:
        """Call a worker for every planned shard.

        Args:
            worker: the function that writes a shard and then its index, unless both exist; it reads
                the plan of the shard from the work folder.
            on_progress: a callback that receives the number of processed images and the total
                number.

        Raises:
            ShardmillError: the first permanent error of a shard.
            KeyboardInterrupt: the user interrupted the run; finished shards are kept.
        """
        run_on_shards(
            worker,
            [shard.name for shard in self.plan.shards],
            self.options.output,
            self.options.runner_config,
            is_done=lambda name: self.output.stat(index_name(name)) is not None,
            images=self.plan.images,
            on_progress=on_progress,
        )
