"""Writing of one shard from the records of a dataset, without decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import msgspec

from pipelines import run_state
from pipelines.sources.base import SourceImage
from pipelines.writing.convert_job import ConvertJob
from pipelines.writing.shard import (
    is_finished,
    publish_shard,
    remove_unfinished,
    write_shard,
)
from records.errors import CorruptDataError
from records.format import schema
from records.format.columns import pack_values
from records.format.example import decode_example, encode_example
from records.format.index import IndexRow
from records.format.label_map import LabelMap
from records.format.layout import SplitName
from records.format.shard import ShardWriter
from records.format.tfrecord import HEADER_BYTES
from records.images import NormalizedImage
from records.images.features import encode_image_example
from records.runtime.shard_worker import ProgressCallback, WorkerResult
from records.storage import open_storage
from records.text.keys import key_from_text

if TYPE_CHECKING:
    from records.images.encode import StoredFormat

COPY_COSTS = (50e-6, 2e-9)
"""The approximate seconds of one CPU per record and per byte of its source file."""


class CopyJob(msgspec.Struct, frozen=True):
    """The parameters that all shards of a copy share; sent to each worker.

    `plans` is the folder or URL with the plans of the shards, `labels` are the class names of the
    output, and `renamed` the labels whose names differ from those in the records.
    """

    dataset: str
    output: str
    plans: str
    labels: tuple[str, ...]
    renamed: frozenset[int] = frozenset()


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
    """Write one shard of copied records, with the labels of its plan, and its index.

    Raises the errors of `write_shard`.
    """
    output = open_storage(job.output)
    plan = run_state.read_shard_plan(open_storage(job.plans), name)
    if is_finished(output, plan):
        count(len(plan.images))
        return
    from records.dataset import open_dataset  # `convert` needs it only for edits

    dataset = open_dataset(job.dataset)
    records = dataset[plan.split]
    is_adopted = dataset.manifest.adopted is not None

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
            if is_adopted:
                payload, row = _rewrite(payload, row, image, job.labels)
            elif image.all_labels != row.all_labels or not job.renamed.isdisjoint(row.all_labels):
                relabelled = relabel_payload(payload, image.all_labels, job.labels)
                # The features of the labels come before the image: all bytes after its begin are
                # the same.
                row = row._replace(
                    label=image.label,
                    labels=None if image.labels is None else tuple(image.labels),
                    image_offset=row.image_offset + len(relabelled) - len(payload),
                )
                payload = relabelled
            location = writer.write(payload)
            image_offset = location.offset + row.image_offset - row.offset
            offset, length = location
            yield row._replace(offset=offset, length=length, image_offset=image_offset)
            count(1)

    remove_unfinished(output, name)
    publish_shard(output, plan, copy)


def write_or_copy_shard(
    job: ConvertJob, copy: CopyJob, name: str, count: ProgressCallback
) -> WorkerResult | None:
    """Write one shard: with images of the source, or with copied records.

    Raises the errors of `write_shard`.
    """
    images = run_state.read_shard_plan(open_storage(job.plans), name).images
    if images and images[0].record_number is not None:
        copy_shard(copy, name, count)
        return None
    return write_shard(job, name, count)


def _rewrite(
    payload: bytes, row: IndexRow, image: SourceImage, labels: LabelMap
) -> tuple[bytes, IndexRow]:
    """Return a record with the features of a conversion, and its row with the old place.

    Args:
        payload: a record of any program that contains the image at the place in `row`.
        row: the row of the record.
        image: the key and the labels of the new record.
        labels: the class names.
    """
    image_at = row.image_offset - row.offset - HEADER_BYTES
    encoded = payload[image_at : image_at + row.stored_bytes]
    stored = NormalizedImage(
        encoded, cast("StoredFormat", row.format), row.width, row.height, row.channels, row.changes
    )
    example = encode_image_example(
        stored,
        key=image.key,
        labels=image.all_labels,
        class_names=tuple(labels[label] for label in image.all_labels),
    )
    image_offset = row.offset + HEADER_BYTES + example.image_offset
    return example.payload, row._replace(label=image.label, image_offset=image_offset)


def relabel_payload(payload: bytes, numbers: tuple[int, ...], labels: LabelMap) -> bytes:
    """Return the serialized Example of a record with other labels.

    Args:
        payload: the serialized Example.
        numbers: the new labels, in ascending order.
        labels: the class names.
    """
    features = decode_example(payload)
    features[schema.LABEL] = numbers
    features[schema.TEXT] = [labels[label].encode() for label in numbers]
    return encode_example(features)
