"""Writing of one shard: read, normalize, frame, publish, index."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import msgspec

from pipelines import run_state
from pipelines.planning.plan import ShardPlan
from pipelines.sources.containers import open_images
from pipelines.sources.containers.member import Container
from pipelines.writing.crash_isolation import Normalize, SubprocessNormalizer
from pipelines.writing.prefetch import PrefetchedImage, prefetch_images
from pipelines.writing.source_hashes import has_planned_files
from records.errors import CorruptDataError, StorageError
from records.format.columns import Columns, encode_columns, unpack_values
from records.format.image_options import ImageOptions
from records.format.index import (
    Index,
    IndexRow,
    Reject,
    ShardSummary,
    encode_index,
    hash_group,
    index_schema,
    new_row_table,
    read_index,
)
from records.format.layout import index_name
from records.format.shard import ShardWriter, hash_file
from records.format.tfrecord import HEADER_BYTES
from records.images import NormalizedImage, Rejection, normalize_image
from records.images.features import encode_image_example
from records.runtime.parallel_map import IO_THREADS
from records.runtime.shard_worker import CancelledError, ProgressCallback
from records.storage import Storage, is_url, open_storage
from records.storage.ownership import create_own, read_etag, record_hash, remove_own, write_etag
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text

_SMALL_IMAGE_BYTES = 16 << 10


class ConvertJob(msgspec.Struct, frozen=True):
    """The parameters that all shards of a conversion share; sent to each worker.

    `source` is the folder or URL of the images or, if there are any, of the containers.
    `plan_digest` is the digest of the plan; a worker writes no shard of another one.
    """

    source: str
    output: str
    labels: tuple[str, ...]
    images: ImageOptions
    workers: int
    follow_symlinks: bool
    image_timeout: int
    containers: tuple[Container, ...] = ()
    plan_digest: str = ""


def estimate_costs(images: ImageOptions) -> tuple[float, float]:
    """Return the approximate seconds of one CPU per image and per byte of a source file."""
    if images.keeps_most_files and images.check == "header":
        return 0.1e-3, 5e-9
    return 0.3e-3, 20e-9


def write_shard(job: ConvertJob, name: str, count: ProgressCallback) -> None:
    """Write one shard and its index, unless both exist and are complete.

    Raises:
        OutputError: the output cannot be written.
        StorageError: storage failed after retries, or this machine does not see the source.
        CancelledError: the run was cancelled.
    """
    output = open_storage(job.output)
    plan = run_state.read_shard_plan(output, name)
    if job.plan_digest not in {"", plan.plan_digest}:
        raise CancelledError  # another run has replaced this one
    if is_finished(output, plan):
        count(len(plan.images))
        return
    _require_source_mounted(job.source)
    with ExitStack() as stack:
        normalize: Normalize = normalize_image
        if run_state.has_crashed(output, name):
            normalize = stack.enter_context(SubprocessNormalizer(job.image_timeout))
        run_state.mark_started(output, name)
        stack.callback(run_state.mark_finished, output, name)
        convert_images(job, plan, output, normalize, count)


def _require_source_mounted(source: str) -> None:
    """Raise StorageError if the source is not mounted: otherwise all images would be rejected."""
    if is_url(source):
        return
    try:
        with os.scandir(source) as entries:
            is_mounted = next(entries, None) is not None
    except OSError:
        is_mounted = False
    if not is_mounted:
        raise StorageError(
            "a worker does not see the source: the folder is missing or empty",
            path=escape_for_display(source),
            hint="make this path accessible to all workers",
        )


def is_finished(output: Storage, plan: ShardPlan) -> bool:
    """Return whether a shard and its index exist, are complete, and belong to this plan.

    The hashes of its source files must be those of the plan, if the plan has them: a worker of an
    earlier run may finish a shard after this run was planned. If the shard still has the ETag that
    was saved after writing, the shard is not read. Otherwise the shard is read, and its hash is
    compared with the hash in the index.
    """
    name, index = plan.name, _read_intact_index(output, plan.name)
    if index is None or index.summary.plan_digest != plan.plan_digest:
        return False
    summary, present = index.summary, output.stat(name)
    if present is None or present.size_bytes != summary.bytes:
        return False
    if not has_planned_files(index, plan.images):
        return False
    if present.etag is not None and present.etag == read_etag(output, name):
        return True
    return hash_file(output, name) == summary.xxh3_128


def _read_intact_index(output: Storage, name: str) -> Index | None:
    """Return the index of a shard; None if it is missing or damaged."""
    try:
        index = read_index(output, index_name(name))
        # Parquet's checksums do not cover every byte; an intact index encodes to the same bytes.
        content = encode_index(index.summary, new_row_table(index.rows(), index.table.schema))
        is_intact = content == output.read(index_name(name))
    except (FileNotFoundError, CorruptDataError):
        return None
    return index if is_intact else None


def convert_images(
    job: ConvertJob,
    plan: ShardPlan,
    output: Storage,
    normalize: Normalize,
    count: ProgressCallback,
) -> None:
    """Normalize and write the images of a shard."""
    isolated = isinstance(normalize, SubprocessNormalizer)
    chunks = prefetch_images(
        plan.images,
        open_images(job.source, job.containers, follow_symlinks=job.follow_symlinks, output=output),
        job.images,
        normalize=normalize,
        threads=1 if isolated else _threads(job),
        inline_until_blocked=_is_gil_bound(job, plan),
        # An isolated normalizer has its own limit.
        timeout_s=0 if isolated else job.image_timeout,
        isolate=partial(SubprocessNormalizer, job.image_timeout),
    )

    def write(writer: ShardWriter) -> Iterator[IndexRow | Reject]:
        for chunk in chunks:
            for prefetched in chunk:
                if isinstance(prefetched.normalized, Rejection):
                    yield make_reject(prefetched, prefetched.normalized, job.labels)
                else:
                    yield write_record(
                        writer, prefetched, prefetched.normalized, job.labels, plan.columns
                    )
            count(len(chunk))

    publish_shard(output, plan, write)


def publish_shard(
    output: Storage, plan: ShardPlan, write: Callable[[ShardWriter], Iterator[IndexRow | Reject]]
) -> None:
    """Write a shard, and then its index.

    Args:
        output: the storage to write to.
        plan: the plan of the shard.
        write: the function that writes the records, and yields an index row or a reject per image.

    Raises:
        OutputError: the output cannot be written, or a file of the user has the name of the shard
            or its index.
        StorageError: storage failed after retries.
    """
    # An index must not exist while its shard is written: it marks a complete shard.
    if output.stat(index_name(plan.name)) is not None:
        remove_own(output, index_name(plan.name))
        remove_own(output, plan.name)
    rows = new_row_table(schema=index_schema(plan.columns, multi_label=plan.multi_label))
    class_records: Counter[int] = Counter()
    rejects: list[Reject] = []
    with output.create(plan.name) as stream:
        writer = ShardWriter(stream)
        for written in write(writer):
            if isinstance(written, Reject):
                rejects.append(written)
            else:
                rows.append(written)
                class_records.update(written.all_labels)
        record_hash(output, plan.name, writer.xxh3_128)
    present = output.stat(plan.name)
    if present is not None and present.etag is not None:
        write_etag(output, plan.name, present.etag)
    summary = ShardSummary(
        name=plan.name,
        split=plan.split,
        plan_digest=plan.plan_digest,
        records=writer.records,
        bytes=writer.size_bytes,
        xxh3_128=writer.xxh3_128,
        sha256=writer.sha256,
        class_records=dict(sorted(class_records.items())),
        rejects=tuple(rejects),
    )
    create_own(output, index_name(plan.name), encode_index(summary, rows))


def _threads(job: ConvertJob) -> int:
    """Return the number of threads that read and normalize; more for URLs: reads mostly wait."""
    return max(job.workers, IO_THREADS) if is_url(job.source) else job.workers


def _is_gil_bound(job: ConvertJob, plan: ShardPlan) -> bool:
    """Return whether Python's global interpreter lock, not reading or decoding, limits threads.

    That is so for local files that are small or not decoded.
    """
    source_bytes = sum(image.size_bytes for image in plan.images)
    is_small = source_bytes < _SMALL_IMAGE_BYTES * len(plan.images)
    return (is_small or job.images.keeps_most_files) and not is_url(job.source)


def write_record(
    writer: ShardWriter,
    prefetched: PrefetchedImage,
    normalized: NormalizedImage,
    labels: tuple[str, ...],
    columns: Columns,
) -> IndexRow:
    """Write the record of a normalized image, and return its row in the index."""
    image = prefetched.image
    values = [] if image.columns is None else unpack_values(image.columns)
    example = encode_image_example(
        normalized,
        key=image.key,
        labels=image.all_labels,
        class_names=tuple(labels[label] for label in image.all_labels),
        columns=encode_columns(columns, values) if columns else b"",
    )
    location = writer.write(example.payload)
    return IndexRow(
        key=key_to_text(image.key),
        label=image.label,
        offset=location.offset,
        length=location.length,
        image_offset=location.offset + HEADER_BYTES + example.image_offset,
        stored_bytes=len(normalized.encoded),
        format=normalized.format,
        width=normalized.width,
        height=normalized.height,
        channels=normalized.channels,
        source_bytes=image.size_bytes,
        source_xxh3_128=prefetched.source_xxh3_128,
        changes=normalized.changes,
        group=hash_group(image.group),
        columns={column.name: value for column, value in zip(columns, values, strict=True)},
        labels=None if image.labels is None else tuple(image.labels),
    )


def make_reject(
    prefetched: PrefetchedImage, rejection: Rejection, labels: tuple[str, ...]
) -> Reject:
    """Return an image that is rejected as the summary of its shard lists it."""
    image = prefetched.image
    return Reject(
        key_to_text(image.key),
        labels[image.label] if image.labels is None else None,
        rejection.reason,
        rejection.detail,
        image.size_bytes,
        prefetched.source_xxh3_128 or None,
        () if image.labels is None else tuple(labels[label] for label in image.labels),
    )
