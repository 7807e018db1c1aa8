"""Thin Beam transforms: one element is one shard's name; no image byte crosses Beam."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipelines import work_folder
from pipelines.progress import CancelledError, progress_of
from pipelines.write import Job, write_shard
from records.errors import ShardmillError, StorageError
from records.storage import open_storage

NAMESPACE = "shardmill"
IMAGES_DONE = "images_done"


class WriteShardFn(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """Writes the shard of each name it is given; gives the name of each one finished.

    What a retry cannot mend is kept in the target for the driver to read, and raises nothing: a
    runner would only try again. What may pass is raised, where the runner then does.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._images_done = Metrics.counter(NAMESPACE, IMAGES_DONE)

    def process(self, name: str) -> list[str]:
        """Write one shard."""
        try:
            self._images_done.inc(write_shard(self._job, name))
        except CancelledError:
            return []  # whoever started the run has stopped it, and needs no word of it
        except ShardmillError as error:
            work_folder.write_failure(open_storage(self._job.target), name, error)
            if isinstance(error, StorageError) and self._job.is_retried:
                raise
            # Shards that wait in this process would meet the same: a full disk stays full.
            progress_of(self._job.run_id).cancel()
            return []
        return [name]


class WriteShards(beam.PTransform):  # type: ignore[misc] # Beam has no types
    """Names of shards → names of the shards written, spread over all workers."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """One worker call a shard, in any order, on any machine."""
        return names | beam.Reshuffle() | "Write" >> beam.ParDo(WriteShardFn(self._job))
