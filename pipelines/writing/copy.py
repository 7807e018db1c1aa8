"""Writing of one shard from the records of a dataset, without decoding."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipelines import run_state
from pipelines.sources.base import SourceImage
from pipelines.writing.shard import is_finished, publish_shard
from records.dataset import open_dataset
from records.errors import CorruptDataError
from records.format.columns import pack_values
from records.format.index import IndexRow
from records.format.layout import SplitName
from records.format.shard import ShardWriter
from records.runtime.shard_worker import ProgressCallback
from records.storage import open_storage
from records.text.keys import key_from_text

COPY_COSTS = (50e-6, 2e-9)
"""The approximate seconds of one CPU per record and per byte of its source file."""


class CopyJob(msgspec.Struct, frozen=True):
    """The parameters that all shards of a copy share; sent to each worker."""

    dataset: str
    output: str


def record_to_copy(row: IndexRow, split: SplitName, record_number: int) -> SourceImage:
    """Return the image to convert that stands for a record.

    Args:
        row: the index row of the record.
        split: the split of the record.
        record_number: the number of the record in its split.
    """
    return SourceImage(
        key_from_text(row.key),
        row.label,
        row.source_bytes,
        record_number=record_number,
        columns=pack_values([*row.columns.values()]) if row.columns else None,
        labels=None if row.labels is None else [*row.labels],
        split=split,
    )


def copy_shard(job: CopyJob, name: str, count: ProgressCallback) -> None:
    """Write one shard of copied records, and its index. Raises the errors of `write_shard`."""
    output = open_storage(job.output)
    plan = run_state.read_shard_plan(output, name)
    if is_finished(output, plan):
        count(len(plan.images))
        return
    records = open_dataset(job.dataset)[plan.split]

    def copy(writer: ShardWriter) -> Iterator[IndexRow]:
        for image in plan.images:
            assert image.record_number is not None  # record_to_copy sets it
            payload, row = records.read_raw(image.record_number)
            if key_from_text(row.key) != image.key:
                raise CorruptDataError(
                    "the dataset was changed while its records were copied",
                    path=records.info.shards[0].name,
                    hint="run the same command again",
                )
            location = writer.write(payload)
            image_offset = location.offset + row.image_offset - row.offset
            yield row._replace(offset=location.offset, image_offset=image_offset)
            count(1)

    publish_shard(output, plan, copy)
