"""Results of all shards, and the manifest made from these results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from pipelines.planning.plan import PlannedShard
from pipelines.planning.replaced_shards import ReplacedShard
from pipelines.report import RunCounts, count_files, renamed_classes
from pipelines.run import Run
from pipelines.writing.source_hashes import has_planned_files
from records.errors import ShardmillError, StorageError
from records.format.index import IndexFile, Reject, read_index, read_index_file
from records.format.layout import SPLITS, SplitName, index_name
from records.format.manifest import (
    Generation,
    Manifest,
    SplitInfo,
)
from records.images import encoder_versions
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.runtime.telemetry import span
from records.storage import Storage
from records.text.formatting import pluralize
from records.text.keys import key_from_text


@dataclass(frozen=True)
class ConversionResult:
    """The shards that were written, all rejects sorted by key, and their counts.

    `copies` have records of earlier generations, which `counts` does not count.
    """

    shards: Sequence[IndexFile]
    rejects: Sequence[Reject]
    counts: RunCounts
    encoders: Mapping[str, str] = field(default_factory=encoder_versions)
    copies: Sequence[IndexFile] = ()


@span("collect")
def collect_results(run: Run) -> ConversionResult:
    """Read the summary of every planned shard, and count the files of the source by result.

    Raises:
        StorageError: a shard is missing.
        ShardmillError: a shard does not have the images of its plan, which is a bug.
    """
    sources = run.sources
    has_own = any(container.is_own for container in sources.containers)
    read = partial(_read_summary, run.output, plan_digest=run.plan.digest, has_own=has_own)
    threads = 0 if run.output.is_local else IO_THREADS
    written = list(parallel_map(read, run.plan.all_shards, threads=threads))
    copies, shards = written[: len(run.plan.copies)], written[len(run.plan.copies) :]
    rejects = [*sources.rejects, *(reject for shard in shards for reject in shard.summary.rejects)]
    rejects.sort(key=lambda reject: key_from_text(reject.key))
    stored = sum(shard.summary.records for shard in shards)
    counts = count_files(sources, stored=stored, rejected=len(rejects))
    return ConversionResult(shards, rejects, counts, copies=copies)


def _read_summary(
    output: Storage, planned: PlannedShard, plan_digest: str, *, has_own: bool
) -> IndexFile:
    """Read the summary of a shard, and check that it contains all images of the plan.

    Args:
        output: the storage of the dataset.
        planned: the shard.
        plan_digest: the digest of the plan.
        has_own: whether this run wrote the containers of the images; no lock keeps workers of an
            earlier run from finishing a shard with other images.
    """
    try:
        index = read_index_file(output, index_name(planned.name))
    except FileNotFoundError as error:
        raise StorageError(
            "a shard was written but is missing",
            path=output.display_name(planned.name),
            hint="make this path accessible to all workers; nothing was published",
        ) from error
    summary = index.summary
    present = output.stat(planned.name)
    is_complete = present is not None and present.size_bytes == summary.bytes
    images = summary.records + len(summary.rejects)
    stored_bytes = 0 if present is None else present.size_bytes
    if not is_complete or images != len(planned) or summary.plan_digest != plan_digest:
        raise ShardmillError(
            "a shard differs from its plan or its index",
            path=output.display_name(planned.name),
            expected=f"{pluralize(len(planned), 'image')}, {pluralize(summary.bytes, 'byte')}",
            got=f"{pluralize(images, 'image')}, {pluralize(stored_bytes, 'byte')}",
            hint="this is a bug; nothing was published",
        )
    if has_own and not has_planned_files(
        read_index(output, index_name(planned.name)), planned.images
    ):
        raise StorageError(
            "a worker of another run has written a shard with other images",
            path=output.display_name(planned.name),
            hint="run the same pipeline again: it writes the shard again",
        )
    return index


_EMPTY_SPLIT = SplitInfo(0, 0, (), ())
_NOTHING_REPLACED: Mapping[str, ReplacedShard] = {}


def make_manifest(run: Run, result: ConversionResult) -> Manifest:
    """Return the manifest of a new dataset, or the previous manifest with a new generation.

    It has the digests of the previous generations' files.
    """
    plan, base = run.plan, run.base
    generation = Generation(
        number=plan.generation,
        plan_digest=plan.digest,
        encoders=dict(result.encoders),
        counts=result.counts.of_generation,
        removed=sum(each.is_edit for each in run.sources.removed) if plan.replaced else 0,
        relabelled=len(run.sources.relabelled) if plan.replaced else 0,
        renamed=sum(each.images for each in renamed_classes(run)),
        renamed_classes={each.old: each.new for each in renamed_classes(run)},
    )
    previous = {} if base is None else base.splits
    return Manifest(
        labels=plan.labels,
        settings=plan.settings,
        splits=merge_splits(
            (*result.copies, *result.shards), len(plan.labels), previous, plan.replaced
        ),
        thresholds=plan.thresholds,
        generations=(*(() if base is None else base.generations), generation),
        files={} if base is None else base.files,
        description=run.description or (msgspec.UNSET if base is None else base.description),
    )


def merge_splits(
    shards: Iterable[IndexFile],
    classes: int,
    previous: Mapping[SplitName, SplitInfo],
    replaced: Mapping[str, ReplacedShard] = _NOTHING_REPLACED,
) -> dict[SplitName, SplitInfo]:
    """Return the splits of the previous generations with the new shards.

    A new shard takes the place of the shard that it replaces, or is appended. A split without
    shards is omitted.
    """
    by_split: dict[SplitName, list[IndexFile]] = {split: [] for split in SPLITS}
    for shard in shards:
        by_split[shard.summary.split].append(shard)
    merged = {
        split: _merge_split(members, classes, previous.get(split, _EMPTY_SPLIT), replaced)
        for split, members in by_split.items()
    }
    return {split: info for split, info in merged.items() if info.shards}


def _merge_split(
    shards: Sequence[IndexFile],
    classes: int,
    previous: SplitInfo,
    replaced: Mapping[str, ReplacedShard],
) -> SplitInfo:
    by_label = Counter(dict(enumerate(previous.class_records)))
    for shard in shards:
        by_label.update(shard.summary.class_records)
    added = {shard.info.name: shard.info for shard in shards}
    merged = []
    for info in previous.shards:
        if info.name not in replaced:
            merged.append(info)
            continue
        by_label.subtract(replaced[info.name].class_records)
        if (by := replaced[info.name].by) is not None:
            merged.append(added.pop(by))
    merged += added.values()
    return SplitInfo(
        records=sum(shard.records for shard in merged),
        bytes=sum(shard.bytes for shard in merged),
        class_records=tuple(by_label[label] for label in range(classes)),
        shards=tuple(merged),
    )
