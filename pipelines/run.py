"""A planned run: its options, its images, its plan, and its output."""

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
    """Everything that is decided before a shard is written.

    Attributes:
        options: the options of the user.
        sources: the images to convert.
        plan: which image goes into which shard.
        output: where the dataset is written.
        base: the manifest of the dataset that images are added to, if any.
        diff: how the source differs from that dataset, if there is one.
        started_at: when the run started, on the monotonic clock, in seconds.
    """

    options: ConvertOptions
    sources: Sources
    plan: Plan
    output: Storage
    base: Manifest | None = None
    diff: SourceDiff | None = None
    started_at: float = field(default_factory=time.monotonic)

    def write_shards(self, worker: Worker, on_progress: OnProgress | None) -> None:
        """Have a worker write every planned shard whose index does not exist yet.

        Args:
            worker: writes a shard and then its index, or finds both; work folder has the plan.
            on_progress: called with the number of images done.

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
