"""PTransforms that read the records of a dataset.

An element of the source is the number of a shard; the worker that gets it reads the shard as a
stream. So no worker lists or shuffles records, and a worker holds one record in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipelines.runners.job_errors import whole_messages
from records.dataset import Record, Split, open_dataset
from records.format.layout import SplitName
from records.storage import absolute_location

_NAMESPACE = "shardmill"


class _ReadSplit(beam.PTransform):  # type: ignore[misc] # Beam has no types
    """Reads one split of a finished dataset."""

    def __init__(self, dataset: str | os.PathLike[str], split: SplitName = "train") -> None:
        super().__init__()
        self._location = absolute_location(os.fspath(dataset))
        self._split = split
        self._shards = len(open_dataset(self._location)[split].info.shards)

    def _read(self, pipeline: beam.Pipeline, read_shard: type[_ReadShard]) -> beam.PCollection:
        return (
            pipeline
            | "Shards" >> beam.Create(range(self._shards))  # also distributes them
            | "Read" >> beam.ParDo(read_shard(self._location, self._split))
        )


class ReadRecords(_ReadSplit):
    """Read one split of a dataset as a PCollection of `Record`.

        with beam.Pipeline() as pipeline:
            records = pipeline | ReadRecords("data", "train")

    Each record occurs once, in any order, with the image as it is stored; `record.decode()` returns
    its pixels. The counter `shardmill:records_read` is among the metrics of the pipeline.

    Args:
        dataset: a finished dataset, as a local path or a URL that all workers can read.
        split: `train`, `validation` or `test`.

    Raises:
        SplitNotFoundError: the dataset does not have this split; also a KeyError.
        UsageError: the URL cannot be opened.
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: the manifest is damaged; in a worker: a shard or its index is.
    """

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """See `beam.PTransform.expand`."""
        return self._read(pipeline, _ReadRecords)


class ReadExamples(_ReadSplit):
    """Read one split of a dataset as a PCollection of serialized `tf.train.Example` bytes.

    Each record occurs once, in any order. Unlike `beam.io.ReadFromTFRecord` with a pattern, this
    reads all generations of a finished dataset, and no shard of an unfinished run.

    Args:
        dataset: a finished dataset, as a local path or a URL that all workers can read.
        split: `train`, `validation` or `test`.

    Raises:
        SplitNotFoundError: the dataset does not have this split; also a KeyError.
        UsageError: the URL cannot be opened.
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: the manifest is damaged; in a worker: a shard or its index is.
    """

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """See `beam.PTransform.expand`."""
        return self._read(pipeline, _ReadExamples)


class _ReadShard(beam.DoFn):  # type: ignore[misc] # Beam has no types
    def __init__(self, location: str, split: SplitName) -> None:
        super().__init__()
        self._location, self._name = location, split
        self._records_read = Metrics.counter(_NAMESPACE, "records_read")

    def setup(self) -> None:
        """Open the dataset in this worker."""
        with whole_messages():
            self._split: Split = open_dataset(self._location)[self._name]


@beam.typehints.with_output_types(Record)
class _ReadRecords(_ReadShard):
    def process(self, shard_number: int) -> Iterator[Record]:
        """Yield the records of a shard, each compared with the index."""
        with whole_messages():
            for record in self._split.iter_indexed_shard(shard_number):
                self._records_read.inc()
                yield record


@beam.typehints.with_output_types(bytes)
class _ReadExamples(_ReadShard):
    def process(self, shard_number: int) -> Iterator[bytes]:
        """Yield the Examples of a shard, each with valid checksums."""
        with whole_messages():
            for example in self._split.iter_examples(shard_number):
                self._records_read.inc()
                yield example
