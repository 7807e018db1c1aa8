"""Measurement of all images of a dataset.

A shard without a saved table is read once, from start to end, by one of several processes. Threads
measure its images, a few chunks ahead: only the tables take memory in proportion to the dataset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from records.dataset.batches import batch_by_bytes
from records.errors import CorruptDataError, OutputError, ShardmillError, StorageError
from records.format.layout import SPLITS
from records.measurements.files import read_saved, save
from records.runtime.parallel_map import parallel_map
from records.runtime.processes import divide_cpus, process_map
from records.storage import is_in_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from records.dataset import Dataset, Record
    from records.format.manifest import ShardInfo
    from records.measurements.measurement import Measurement
    from records.runtime.shard_worker import ProgressCallback

_CHUNK_IMAGES = 32
_CHUNK_BYTES = 4 << 20
# Approximate seconds of one CPU per image and per byte of a shard.
_SECONDS_PER_IMAGE, _SECONDS_PER_BYTE = 1e-3, 10e-9


@dataclass
class DatasetMeasurer:
    """A measurement of all images of a dataset; saved tables are reused.

    Attributes:
        dataset: an open dataset.
        measurement: what to measure.
        on_images: a callback that receives the number of images in each batch that was measured or
            read.
        processes: the number of processes that measure shards; None if it follows from the CPUs and
            the work.
        save_error: the error of the first save that failed; no more tables are saved after it.
    """

    dataset: Dataset
    measurement: Measurement
    on_images: Callable[[int], object] = lambda _images: None
    processes: int | None = None
    save_error: ShardmillError | None = field(default=None, init=False)

    def run(self) -> pa.Table:
        """Return a row for each image, split by split in the order of `SPLITS`.

        Raises:
            CorruptDataError: a shard is damaged or missing.
        """
        shards = self._shards
        saved = [self._read_saved(shard) for shard in shards]
        missing = [shard for shard, found in zip(shards, saved, strict=True) if found is None]
        measured = self._measure(missing)
        tables = [
            self._save(shard, next(measured)) if found is None else found
            for shard, found in zip(shards, saved, strict=True)
        ]
        return self._join(tables)

    def read_all_saved(self) -> pa.Table | None:
        """Return the rows of `run` without measuring; None if a table is not saved."""
        tables = []
        for shard in self._shards:
            saved = self._read_saved(shard)
            if saved is None:
                return None
            tables.append(saved)
        return self._join(tables)

    @property
    def _shards(self) -> list[ShardInfo]:
        return [
            shard
            for name in SPLITS
            if name in self.dataset
            for shard in self.dataset[name].info.shards
        ]

    def _join(self, tables: Sequence[pa.Table]) -> pa.Table:
        return pa.concat_tables([self.measurement.schema.empty_table(), *tables])

    def _read_saved(self, shard: ShardInfo) -> pa.Table | None:
        saved = read_saved(self.dataset.storage, shard, self.measurement)
        if saved is not None:
            self.on_images(shard.records)
        return saved

    def _measure(self, shards: Sequence[ShardInfo]) -> Iterator[pa.Table]:
        """Yield the table of each shard, which several processes measure."""
        seconds = sum(
            _SECONDS_PER_IMAGE * shard.records + _SECONDS_PER_BYTE * shard.bytes for shard in shards
        )
        processes = 1 if is_in_memory(self.dataset.path) else self.processes
        division = divide_cpus(len(shards), seconds, processes=processes)
        return process_map(
            _ShardMeasurer(self.dataset, self.measurement, division.threads),
            [shard.name for shard in shards],
            processes=division.processes,
            on_progress=self.on_images,
        )

    def _save(self, shard: ShardInfo, table: pa.Table) -> pa.Table:
        """Save the table of a shard, unless an earlier save has failed; return the table."""
        if self.save_error is None:
            try:
                save(self.dataset.storage, shard, self.measurement, table)
            except (OutputError, StorageError) as error:
                self.save_error = error
        return table


class _ShardMeasurer:
    """Measures the images of a shard, given by its name; it is sent to other processes."""

    def __init__(self, dataset: Dataset, measurement: Measurement, threads: int) -> None:
        self._dataset = dataset
        self._measurement = measurement
        self._threads = threads
        self._shards = dataset.shards()

    def __call__(self, name: str, count: ProgressCallback) -> pa.Table:
        """Return a row for each image. Raises CorruptDataError."""
        split, number = self._shards[name]
        records = self._dataset[split]
        schema = self._measurement.schema
        batches: list[pa.RecordBatch] = []
        chunks = batch_by_bytes(
            records.iter_indexed_shard(number),
            lambda record: len(record.image),
            most_items=_CHUNK_IMAGES,
            end_bytes=_CHUNK_BYTES,
        )
        for batch in parallel_map(
            partial(_measure_chunk, self._measurement), chunks, threads=self._threads
        ):
            batches.append(batch)
            count(len(batch))
        table = pa.Table.from_batches(batches, schema)
        expected = records.info.shards[number].records
        if len(table) != expected:
            raise CorruptDataError(
                "the number of records in a shard does not match the manifest",
                path=self._dataset.storage.display_name(name),
                expected=expected,
                got=len(table),
                hint="run `shardmill verify` on the dataset",
            )
        return table


def _measure_chunk(measurement: Measurement, chunk: list[Record]) -> pa.RecordBatch:
    rows = [dict(measurement.measure(record)) for record in chunk]
    return pa.RecordBatch.from_pylist(rows, measurement.schema)
