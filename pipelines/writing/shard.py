"""One shard from its plan: read, check, encode, frame, hash, fsync, publish; then its index."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import msgspec

from pipelines import run_state
from pipelines.planning.plan import ShardPlan
from pipelines.runners.base import ProgressCallback
from pipelines.sources.reader import open_source
from pipelines.writing.crash_isolation import StoreFunction, SubprocessNormalizer
from pipelines.writing.prefetch import PrefetchedImage, prefetch_images
from records.errors import CorruptDataError, StorageError
from records.format.example import encode_example
from records.format.image_options import ImageOptions
from records.format.index import (
    IndexRow,
    Reject,
    ShardSummary,
    encode_index,
    new_row_table,
    read_index,
)
from records.format.layout import index_name
from records.format.shard import ShardWriter, hash_file
from records.images import NormalizedImage, Rejection, normalize_image
from records.images.features import image_features
from records.runtime.parallel_map import IO_THREADS
from records.storage import Storage, is_url, open_storage, write_file
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text

_SMALL_IMAGE_BYTES = 16 << 10


class ConvertJob(msgspec.Struct, frozen=True):
    """What every shard of a conversion has in common; sent to each worker."""

    source: str
    output: str
    labels: tuple[str, ...]
    images: ImageOptions
    workers: int


def write_shard(job: ConvertJob, name: str, count: ProgressCallback) -> None:
    """Write one shard and its index, unless they are there and whole.

    Raises:
        OutputError: the output cannot be written.
        StorageError: storage failed after retries, or the source is not seen from here.
        CancelledError: the run was asked to stop.
    """
    output = open_storage(job.output)
    plan = run_state.read_shard_plan(output, name)
    if is_finished(output, name, plan.plan_digest):
        count(len(plan.images))
        return
    _require_source_mounted(job.source)
    with ExitStack() as stack:
        store: StoreFunction = normalize_image
        if run_state.has_crashed(output, name):
            store = stack.enter_context(SubprocessNormalizer())
        run_state.mark_started(output, name)
        stack.callback(run_state.mark_finished, output, name)
        _write(job, plan, output, store, count)


def _require_source_mounted(source: str) -> None:
    """Where a folder is not mounted every file of it would be rejected."""
    if is_url(source):
        return
    try:
        with os.scandir(source) as entries:
            seen = next(entries, None) is not None
    except OSError:
        seen = False
    if not seen:
        raise StorageError(
            "a worker does not see the source: nothing is there",
            path=escape_for_display(source),
            hint="every worker must reach it at this path",
        )


def is_finished(output: Storage, name: str, plan_digest: str) -> bool:
    """Whether a shard and its index are there, of this plan, and whole.

    On stores with ETags the one kept when the shard was written is compared; elsewhere its hash.
    """
    facts = _read_whole_index(output, name)
    if facts is None:
        return False
    present = output.stat(name)
    if facts.plan_digest != plan_digest or present is None or present.size_bytes != facts.bytes:
        return False
    if present.etag is not None and present.etag == run_state.read_etag(output, name):
        return True
    return hash_file(output, name) == facts.xxh3_128


def _read_whole_index(output: Storage, name: str) -> ShardSummary | None:
    """The facts in a shard's index, None where that is not there or has any damage."""
    try:
        index = read_index(output, index_name(name))
        # Parquet's own checksums leave gaps. What was read, written again, is the same bytes.
        whole = encode_index(index.summary, new_row_table(index.rows())) == output.read(
            index_name(name)
        )
    except (FileNotFoundError, CorruptDataError):
        return None
    return index.summary if whole else None


def _write(
    job: ConvertJob,
    plan: ShardPlan,
    output: Storage,
    store: StoreFunction,
    count: ProgressCallback,
) -> None:
    chunks = prefetch_images(
        plan.images,
        open_source(job.source),
        job.images,
        store=store,
        threads=1 if isinstance(store, SubprocessNormalizer) else _threads(job),
        alone=_is_gil_bound(job, plan),
    )

    def write(writer: ShardWriter) -> Iterator[IndexRow | Reject]:
        for chunk in chunks:
            for checked in chunk:
                if isinstance(checked.outcome, Rejection):
                    yield _reject(checked, checked.outcome, job.labels)
                else:
                    yield _write_record(writer, checked, checked.outcome, job.labels)
            count(len(chunk))

    publish_shard(output, plan, write)


def publish_shard(
    output: Storage, plan: ShardPlan, write: Callable[[ShardWriter], Iterator[IndexRow | Reject]]
) -> None:
    """Write a shard, and its index when it is there.

    Args:
        output: where to.
        plan: of the shard.
        write: its records; gives a row of each, or a reject.

    Raises:
        OutputError: the output cannot be written.
        StorageError: storage failed after retries.
    """
    # An index whose shard is not whole (is_finished said so) must not stand while it is written.
    if output.stat(index_name(plan.name)) is not None:
        output.remove(index_name(plan.name))
        output.remove(plan.name)
    rows = new_row_table()
    class_records: Counter[int] = Counter()
    rejects: list[Reject] = []
    with output.create(plan.name) as stream:
        writer = ShardWriter(stream)
        for written in write(writer):
            if isinstance(written, Reject):
                rejects.append(written)
            else:
                rows.append(written)
                class_records[written.label] += 1
    present = output.stat(plan.name)
    if present is not None and present.etag is not None:
        run_state.write_etag(output, plan.name, present.etag)
    facts = ShardSummary(
        name=plan.name,
        split=plan.split,
        plan_digest=plan.plan_digest,
        records=writer.records,
        bytes=writer.size_bytes,
        xxh3_128=writer.xxh3_128,
        class_records=dict(sorted(class_records.items())),
        rejects=tuple(rejects),
    )
    write_file(output, index_name(plan.name), encode_index(facts, rows))


def _threads(job: ConvertJob) -> int:
    """How many read and check: files behind a URL are mostly waited for."""
    return max(job.workers, IO_THREADS) if is_url(job.source) else job.workers


def _is_gil_bound(job: ConvertJob, plan: ShardPlan) -> bool:
    """Whether little is done without it: local files, of which no large ones are decoded."""
    source_bytes = sum(image.size_bytes for image in plan.images)
    is_small = source_bytes < _SMALL_IMAGE_BYTES * len(plan.images)
    return (is_small or job.images.keeps_most_files) and not is_url(job.source)


def _write_record(
    writer: ShardWriter, checked: PrefetchedImage, stored: NormalizedImage, labels: tuple[str, ...]
) -> IndexRow:
    image = checked.image
    features = image_features(stored, key=image.key, label=image.label, text=labels[image.label])
    position = writer.write(encode_example(features))
    return IndexRow(
        key=key_to_text(image.key),
        label=image.label,
        offset=position.offset,
        length=position.length,
        stored_bytes=len(stored.encoded),
        format=stored.format,
        width=stored.width,
        height=stored.height,
        channels=stored.channels,
        source_bytes=image.size_bytes,
        source_xxh3_128=checked.source_xxh3_128,
        changes=stored.changes,
    )


def _reject(checked: PrefetchedImage, rejection: Rejection, labels: tuple[str, ...]) -> Reject:
    image = checked.image
    return Reject(
        key_to_text(image.key),
        labels[image.label],
        rejection.reason,
        rejection.detail,
        image.size_bytes,
    )
