"""Thin Beam transforms: one element is one shard's name; no image byte crosses Beam."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipelines.task import Task, counting, perform

NAMESPACE = "shardmill"
IMAGES_DONE = "images_done"


class PerformFn(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """Has the shard of each name done; gives the name of each one that was."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task
        self._images_done = Metrics.counter(NAMESPACE, IMAGES_DONE)

    def process(self, name: str) -> list[str]:
        """Do one shard."""
        count_here = counting(self._task)

        def count(images: int) -> None:
            self._images_done.inc(images)
            count_here(images)

        return [name] if perform(self._task, name, count) else []


class OverShards(beam.PTransform):  # type: ignore[misc] # Beam has no types
    """Names of shards → names of the shards done, spread over all workers."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """One worker call a shard, in any order, on any machine."""
        return names | beam.Reshuffle() | "Perform" >> beam.ParDo(PerformFn(self._task))
