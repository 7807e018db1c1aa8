"""Thin Beam transforms: one element is one shard's name; no image byte crosses Beam."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipelines.attendance import Attendance
from pipelines.progress import progress_of
from pipelines.task import Task, perform

NAMESPACE = "shardmill"
IMAGES_DONE = "images_done"


class PerformFn(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """Has the shard of each name done; gives the name of each one that was."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task
        self._images_done = Metrics.counter(NAMESPACE, IMAGES_DONE)

    def setup(self) -> None:
        """Look whether the run can be worked for. Raises as `Attendance.check_in`."""
        self._attendance = Attendance(self._task.folder, self._task.run_id)
        self._attendance.check_in()

    def process(self, name: str) -> list[str]:
        """Do one shard."""
        return [name] if perform(self._task, name, self._count) else []

    def _count(self, images: int) -> None:
        progress = progress_of(self._task.run_id)
        progress.add(images)
        self._images_done.inc(images)
        self._attendance.tell(progress.images)


class OverShards(beam.PTransform):  # type: ignore[misc] # Beam has no types
    """Names of shards → names of the shards done, spread over all workers."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """One worker call a shard, in any order, on any machine."""
        return names | beam.Reshuffle() | "Perform" >> beam.ParDo(PerformFn(self._task))
