"""Writing of one shard: read, normalize, frame, publish, index."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from pipelines import run_state
from pipelines.planning.plan import ShardPlan
from pipelines.sources.containers import open_images
from pipelines.writing.convert_job import ConvertJob
from pipelines.writing.crash_isolation import Normalize, SubprocessNormalizer
from pipelines.writing.own_index import remove_index
from pipelines.writing.prefetch import PrefetchedImage, prefetch_images
from pipelines.writing.scores import ShardScores, scoring_normalize
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
from records.runtime.shard_worker import CancelledError, ProgressCallback, WorkerResult
from records.storage import Storage, is_url, open_storage, write_file
from records.storage.ownership import read_etag, record_hash, remove_own, write_etag
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text

INDEX = "index"
"""The key of the content of an index in the result of a worker."""
_SMALL_IMAGE_BYTES = 16 << 10
_READ_AGAIN_BYTES = 8 << 20
"""The size up to which a resumed run reads a shard in one request, as it would read an ETag."""


def estimate_costs(images: ImageOptions, *, quality: bool = False) -> tuple[float, float]:
    """Return the approximate seconds of one CPU per image and per byte of a source file."""
    if quality:
        return 6e-3, 30e-9
    if images.keeps_most_files and images.check == "header":
        return 0.1e-3, 5e-9
    return 0.3e-3, 20e-9


def write_shard(job: ConvertJob, name: str, count: ProgressCallback) -> WorkerResult | None:
    """Write one shard and its index, unless both exist and are complete.

    Returns:
        The content of the index, by `INDEX`, if it was written now and the job wants it; else None.

    Raises:
        OutputError: the output cannot be written.
        StorageError: storage failed after retries, or this machine does not see the source.
        CancelledError: the run was cancelled.
    """
    output = open_storage(job.output)
    plan = run_state.read_shard_plan(open_storage(job.plans), name)
    if job.plan_digest not in {"", plan.plan_digest}:
        raise CancelledError  # another run has replaced this one
    begun = _begin(job, output, plan)
    if begun is None:
        count(len(plan.images))
        return None
    try:
        _require_source_mounted(job.source)
        if not begun.is_new:
            remove_unfinished(output, name)
        with ExitStack() as stack:
            normalize = _normalizer(job)
            if begun.has_crashed:
                normalize = stack.enter_context(_isolate(job))
            index = convert_images(job, plan, output, normalize, count)
    except BaseException:
        if job.marks_shards:
            run_state.mark_finished(output, name)
        raise
    return {INDEX: index} if job.returns_index else None


def _normalizer(job: ConvertJob) -> Normalize:
    """Return the function that normalizes an image, and measures it if the job wants that."""
    return scoring_normalize() if job.quality else normalize_image


def _isolate(job: ConvertJob) -> SubprocessNormalizer:
    """Return a subprocess that does the same as `_normalizer`."""
    measuring = (scoring_normalize(),) if job.quality else ()
    return SubprocessNormalizer(job.image_timeout, *measuring)


class _Begun(NamedTuple):
    """Whether no worker has begun a shard before, and whether one may have crashed at it."""

    is_new: bool
    has_crashed: bool


def _begin(job: ConvertJob, output: Storage, plan: ShardPlan) -> _Begun | None:
    """Mark a shard if the job wants it; return None if the shard is finished."""
    if job.may_exist and is_finished(output, plan):
        return None
    if job.marks_shards and not run_state.mark_started(output, plan.name):
        # A worker of this run may have died after it had finished the shard.
        is_done = not job.may_exist and is_finished(output, plan)
        return None if is_done else _Begun(is_new=False, has_crashed=True)
    return _Begun(not job.may_exist, plan.name == job.crashed)


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
    earlier run may finish a shard after this run was planned. If a large shard still has the ETag
    that was saved after writing, it is not read. Otherwise the shard is read, and its hash is
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
) -> bytes:
    """Normalize and write the images of a shard; return the content of its index."""
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
        isolate=partial(_isolate, job),
    )
    scores = ShardScores() if job.quality else None

    def write(writer: ShardWriter) -> Iterator[IndexRow | Reject]:
        for chunk in chunks:
            for prefetched in chunk:
                if isinstance(prefetched.normalized, Rejection):
                    yield make_reject(prefetched, prefetched.normalized, job.labels)
                else:
                    yield write_record(
                        writer, prefetched, prefetched.normalized, job.labels, plan.columns
                    )
                    if scores is not None:
                        scores.add(prefetched.normalized)
            count(len(chunk))

    return publish_shard(output, plan, write, scores)


def remove_unfinished(output: Storage, name: str) -> None:
    """Remove the files of a shard that an earlier run has not finished, or has written otherwise.

    An index must not exist while its shard is written: it marks a complete shard.

    Raises:
        OutputError: a file of the user has the name of the shard or its index.
        StorageError: storage failed after retries.
    """
    if output.stat(index_name(name)) is not None:
        remove_index(output, name)
        remove_own(output, name)


def publish_shard(
    output: Storage,
    plan: ShardPlan,
    write: Callable[[ShardWriter], Iterator[IndexRow | Reject]],
    scores: ShardScores | None = None,
) -> bytes:
    """Write a shard, its measurements if any, and its index; return the content of the index.

    Neither may exist, see `remove_unfinished`.

    Args:
        output: the storage to write to.
        plan: the plan of the shard.
        write: the function that writes the records, and yields an index row or a reject per image.
        scores: the measurements of the images, which `write` has completed when it returns.

    Raises:
        OutputError: the output cannot be written, or a file of the user has the name of the shard
            or its index.
        StorageError: storage failed after retries.
    """
    name, index = plan.name, index_name(plan.name)
    rows = new_row_table(schema=index_schema(plan.columns, multi_label=plan.multi_label))
    class_records: Counter[int] = Counter()
    rejects: list[Reject] = []
    with output.create(name) as stream:
        writer = ShardWriter(stream)
        for written in write(writer):
            if isinstance(written, Reject):
                rejects.append(written)
            else:
                rows.append(written)
                class_records.update(written.all_labels)
        summary = ShardSummary(
            name=name,
            split=plan.split,
            plan_digest=plan.plan_digest,
            records=writer.records,
            bytes=writer.size_bytes,
            xxh3_128=writer.xxh3_128,
            sha256=writer.sha256,
            class_records=dict(sorted(class_records.items())),
            rejects=tuple(rejects),
        )
        content = encode_index(summary, rows)
        record_hash(output, name, writer.xxh3_128, {index: content})
    if writer.size_bytes > _READ_AGAIN_BYTES:
        present = output.stat(name)
        if present is not None and present.etag is not None:
            write_etag(output, name, present.etag)
    if scores is not None:
        scores.save(output, summary)
    write_file(output, index, content)
    return content


def _threads(job: ConvertJob) -> int:
    """Return the number of threads that read and normalize; more for URLs: reads mostly wait."""
    return max(job.workers, IO_THREADS) if is_url(job.source) else job.workers


def _is_gil_bound(job: ConvertJob, plan: ShardPlan) -> bool:
    """Return whether the GIL limits threads: for local files that are small or not decoded."""
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
