"""Results of all shards, and the manifest made from these results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from pipelines.fingerprints import MOST_STORED_FILES, StoredFiles, join_stored, list_stored
from pipelines.planning.plan import PlannedShard
from pipelines.planning.replaced_shards import ReplacedShard
from pipelines.report import RunCounts, count_files
from pipelines.run import Run
from pipelines.source_differences import renamed_classes
from pipelines.writing.shard import INDEX
from pipelines.writing.source_hashes import has_planned_files
from records.errors import ShardmillError, StorageError
from records.format import layout
from records.format.digest import FileDigest
from records.format.index import (
    Index,
    IndexFile,
    Reject,
    ShardSummary,
    decode_index,
    decode_index_file,
)
from records.format.layout import SPLITS, SplitName, index_name
from records.format.manifest import (
    Generation,
    Manifest,
    SplitInfo,
)
from records.images import encoder_versions
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.runtime.shard_worker import WorkerResult
from records.runtime.telemetry import span
from records.storage import RemoteStorage, Storage
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_from_text

_NOTHING: Mapping[str, WorkerResult | None] = {}


@dataclass(frozen=True)
class ConversionResult:
    """The shards that were written, all rejects sorted by key, and their counts.

    `copies` have records of earlier generations, which `counts` does not count. `stored` has the
    files in all shards; None if they are not saved for later runs.
    """

    shards: Sequence[IndexFile]
    rejects: Sequence[Reject]
    counts: RunCounts
    encoders: Mapping[str, str] = field(default_factory=encoder_versions)
    copies: Sequence[IndexFile] = ()
    stored: StoredFiles | None = None


@span("collect")
def collect_results(
    run: Run, done: Mapping[str, WorkerResult | None] = _NOTHING
) -> ConversionResult:
    """Read the summary of every planned shard, and count the files of the source by result.

    Args:
        run: the run.
        done: the results of the workers of this machine, by the name of the shard. A shard whose
            index a worker has returned is not looked at in a store.

    Raises:
        StorageError: a shard is missing.
        ShardmillError: a shard does not have the images of its plan, which is a bug.
    """
    sources, planned = run.sources, run.plan.all_shards
    indexes = {name: result[INDEX] for name, result in done.items() if result is not None}
    sizes_bytes = _list_sizes(run) if len(indexes) < len(planned) else {}
    # Reading the indexes of a local folder takes no requests, so no later run needs a copy.
    is_saved = not run.output.is_local and sum(map(len, planned)) <= MOST_STORED_FILES

    def read(shard: PlannedShard) -> tuple[IndexFile, StoredFiles | None]:
        content = indexes.get(shard.name)
        if content is None:
            content = _read_index(run.output, shard.name)
        path = run.output.display_name(index_name(shard.name))
        file = decode_index_file(content, path=path)
        if shard.name not in indexes:
            _require_size(run.output, file.summary, sizes_bytes.get(shard.name))
        _require_planned(run, shard, file.summary)
        if not (has_own or is_saved):
            return file, None
        index = decode_index(content, path=path)
        if has_own:
            _require_planned_files(run.output, shard, index)
        return file, list_stored([(index, file.digest.sha256)]) if is_saved else None

    has_own = any(container.is_own for container in sources.containers)
    threads = 0 if run.output.is_local else IO_THREADS
    found = list(parallel_map(read, planned, threads=threads))
    written = [file for file, _ in found]
    copies, shards = written[: len(run.plan.copies)], written[len(run.plan.copies) :]
    rejects = [*sources.rejects, *(reject for shard in shards for reject in shard.summary.rejects)]
    rejects.sort(key=lambda reject: key_from_text(reject.key))
    stored = sum(shard.summary.records for shard in shards)
    counts = count_files(sources, stored=stored, rejected=len(rejects))
    rows = [files for _, files in found if files is not None]
    saved = join_stored(StoredFiles(), *rows) if is_saved else None
    return ConversionResult(shards, rejects, counts, copies=copies, stored=saved)


def _list_sizes(run: Run) -> Mapping[str, int]:
    """Return the sizes of the files of the generation; none in a local folder: `stat` is fast."""
    output = run.output
    if not isinstance(output, RemoteStorage):
        return {}
    folder = layout.generation_folder(run.plan.generation)
    return {name: info.size_bytes for name, info in output.list_info(folder)}


def _read_index(output: Storage, shard: str) -> bytes:
    try:
        return output.read(index_name(shard))
    except FileNotFoundError as error:
        raise StorageError(
            "a shard was written but is missing",
            path=output.display_name(shard),
            hint="make this path accessible to all workers; nothing was published",
        ) from error


def _require_size(output: Storage, summary: ShardSummary, size_bytes: int | None) -> None:
    """Check that a shard has the size in its index; `size_bytes` is its size if it was listed."""
    if size_bytes is None:
        present = output.stat(summary.name)
        size_bytes = 0 if present is None else present.size_bytes
    if size_bytes != summary.bytes:
        raise _other_shard(
            output,
            summary.name,
            expected=pluralize(summary.bytes, "byte"),
            got=pluralize(size_bytes, "byte"),
        )


def _require_planned(run: Run, planned: PlannedShard, summary: ShardSummary) -> None:
    """Check that a shard has the images of its plan."""
    images = summary.records + len(summary.rejects)
    if images != len(planned) or summary.plan_digest != run.plan.digest:
        raise _other_shard(
            run.output,
            planned.name,
            expected=f"{pluralize(len(planned), 'image')} of plan {run.plan.digest}",
            got=f"{pluralize(images, 'image')} of plan {escape_for_display(summary.plan_digest)}",
        )


def _other_shard(output: Storage, shard: str, *, expected: str, got: str) -> ShardmillError:
    return ShardmillError(
        "a shard differs from its plan or its index",
        path=output.display_name(shard),
        expected=expected,
        got=got,
        hint="this is a bug; nothing was published",
    )


def _require_planned_files(output: Storage, planned: PlannedShard, index: Index) -> None:
    """Check the images of a shard whose containers this run has written.

    No lock keeps workers of an earlier run from finishing a shard with other images.
    """
    if not has_planned_files(index, planned.images):
        raise StorageError(
            "a worker of another run has written a shard with other images",
            path=output.display_name(planned.name),
            hint="run the same pipeline again: it writes the shard again",
        )


_EMPTY_SPLIT = SplitInfo(0, 0, (), ())
_NOTHING_REPLACED: Mapping[str, ReplacedShard] = {}


def make_manifest(run: Run, result: ConversionResult, lists: Mapping[str, FileDigest]) -> Manifest:
    """Return the manifest of a new dataset, or the previous manifest with a new generation.

    It has the digests of `lists`, the lists of this generation, and of files of previous ones.
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
        files={**({} if base is None else base.files), **lists},
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
