"""Plan of a generation that edits earlier ones.

A shard with a record to edit is written again in the folder of the new generation, without the
removed records, and with the new labels of the others. The manifest of the new generation names the
new shard in place of the old one, so every reader sees the edits, also a reader that has no support
for them. No file of an earlier generation is changed, except the TFDS metadata.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

import msgspec
import numpy as np
import xxhash

from pipelines.options import ConvertOptions
from pipelines.planning.plan import Plan, PlannedShard, worker_table
from pipelines.planning.replaced_shards import ReplacedShard
from pipelines.run import Run
from pipelines.sources import Sources
from pipelines.sources.base import SourceImage, new_image_table
from pipelines.writing.copy import record_to_copy
from records.errors import UsageError
from records.format.edits import RelabelledRecord, RemovedRecord
from records.format.index import Index, IndexRow, RowForm, count_labels, read_shard_index
from records.format.label_map import LabelMap
from records.format.layout import SPLITS, SplitName, shard_name
from records.format.manifest import Manifest, ShardInfo, encode_manifest
from records.format.skipped import load_skipped
from records.runtime.row_table import RowTable
from records.runtime.telemetry import span
from records.storage import Storage
from records.storage.work_folder import Command
from records.text.keys import key_from_text

Labels = tuple[int, ...]
"""The labels of a record, in ascending order."""

Edit = Callable[[SplitName, Index], Mapping[int, Labels | None]]
"""A function that returns the new labels of the records to edit, by their number in a shard.

The labels are None for a record to remove. They may be the present ones: the name of the class may
differ.
"""

Rename = Callable[[Labels], Labels]
"""A function that returns the labels of a record, in ascending order."""

_NONE: Mapping[str, str] = {}


def keep_labels(labels: Labels) -> Labels:
    """Return the same labels: no class is renamed."""
    return labels


class _EditedShard(msgspec.Struct, frozen=True):
    """A shard to write again, and the rows of the images to write."""

    info: ShardInfo
    class_records: dict[int, int]
    rows: range


@dataclass
class Edits:
    """The edits of a dataset: the shards to write again, with the images to write.

    Attributes:
        removed: the removed records, in the order of their keys.
        relabelled: the relabelled records, in the order of their keys.
        images: the remaining images of all shards, in the order of the records.
        shards: the shards, by split.
        renamed_classes: the new names of classes, which other records of the shards may have too.
    """

    removed: list[RemovedRecord]
    relabelled: list[RelabelledRecord]
    images: RowTable[SourceImage]
    shards: dict[SplitName, list[_EditedShard]]
    renamed_classes: Mapping[str, str] = field(default_factory=dict)


def find_edits(
    output: Storage, base: Manifest, labels: LabelMap, edit: Edit, rename: Rename = keep_labels
) -> Edits:
    """Return the edits of a dataset.

    Args:
        output: the storage of the dataset.
        base: the manifest of the dataset.
        labels: the label map of the new generation; it has the labels of the dataset.
        edit: the function that returns the edits of a shard.
        rename: the function that returns the labels of a record after its classes are renamed, in
            the shards with edits; a renamed class is not an edit of its records.

    Raises:
        CorruptDataError: an index is damaged or missing.
    """
    found = Edits([], [], new_image_table(), {split: [] for split in base.splits})
    for split, first, info, index in iter_indexes(output, base):
        edits = edit(split, index)
        if not edits:
            continue
        start = len(found.images)
        renamed = (with_labels(row, rename(row.all_labels)) for row in index.rows())
        for number, row in enumerate(renamed):
            new = edits.get(number, row.all_labels)
            if new is None:
                found.removed.append(removed_record(row, split, labels))
                continue
            if new != row.all_labels:
                found.relabelled.append(relabelled_record(row, new, labels))
            found.images.append(record_to_copy(with_labels(row, new), split, first + number))
        rows = range(start, len(found.images))
        found.shards[split].append(_EditedShard(info, count_labels(index.table), rows))
    found.removed.sort(key=lambda record: key_from_text(record.key))
    found.relabelled.sort(key=lambda record: key_from_text(record.key))
    return found


def add_edits(plan: Plan, edits: Edits) -> Plan:
    """Return a plan that also writes the shards of edits; those of new images follow in each split.

    The plan is that of a generation after the first one.
    """
    copied: Counter[SplitName] = Counter()
    for split, members in edits.shards.items():
        copied[split] = sum(bool(shard.rows) for shard in members)
    total = copied + Counter(shard.split for shard in plan.shards)
    numbers = {split: count(copied[split]) for split in SPLITS}

    def rename(shard: PlannedShard) -> PlannedShard:
        split, number = shard.split, next(numbers[shard.split])
        return replace(shard, name=shard_name(split, number, total[split], plan.generation))

    shards = tuple(map(rename, plan.shards))
    replaced = dict(_name_copies(edits, total, plan.generation))
    table = worker_table(edits.images.compact())
    copies = tuple(
        PlannedShard(by, split, table, np.array(shard.rows, np.intp))
        for split, members in edits.shards.items()
        for shard in members
        if (by := replaced[shard.info.name].by) is not None
    )
    digest = digest_edits(plan.digest, edits.removed, edits.relabelled, edits.renamed_classes)
    return replace(plan, shards=shards, digest=digest, copies=copies, replaced=replaced)


def digest_edits(
    plan_digest: str,
    removed: Sequence[RemovedRecord],
    relabelled: Sequence[RelabelledRecord],
    renamed_classes: Mapping[str, str],
) -> str:
    """Return the digest of a plan that also has edits."""
    names = dict(sorted(renamed_classes.items()))  # as a manifest has them
    digest = xxhash.xxh3_128(plan_digest.encode())
    digest.update(msgspec.msgpack.encode((removed, relabelled, names)))
    return str(digest.hexdigest())


def _name_copies(
    edits: Edits, total: Mapping[SplitName, int], generation: int
) -> Iterator[tuple[str, ReplacedShard]]:
    """Yield the name of each shard to write again, and the shard that takes its place."""
    for split, shards in edits.shards.items():
        numbers = count()
        for shard in shards:
            by = None
            if shard.rows:
                by = shard_name(split, next(numbers), total[split], generation)
            yield shard.info.name, ReplacedShard(shard.info, shard.class_records, by)


def require_records(output: Storage, base: Manifest, edits: Edits, *, new: int = 0) -> None:
    """Raise UsageError if a dataset would have no records.

    Args:
        output: the storage of the dataset.
        base: the manifest of the dataset.
        edits: the edits of the dataset.
        new: the number of images to add.
    """
    if not new and len(edits.removed) == sum(split.records for split in base.splits.values()):
        raise UsageError(
            "no record of the dataset would be left",
            path=output.url,
            hint="remove the folder of the dataset instead",
        )


class DatasetToEdit(NamedTuple):
    """A dataset, and the options and the command of the run that edits it."""

    output: Storage
    manifest: Manifest
    options: ConvertOptions
    command: Command


@span("plan")
def plan_edits(
    dataset: DatasetToEdit, edit: Edit, labels: LabelMap, arguments: Mapping[str, str] = _NONE
) -> Run:
    """Plan a generation without some records, or with other labels, and without new images.

    Args:
        dataset: the dataset to edit.
        edit: the function that returns the edits of a shard.
        labels: the label map of the new generation; it begins with that of the dataset.
        arguments: the arguments of the command, for the provenance.

    Raises:
        CorruptDataError: an index or the list of skipped files is damaged or missing.
        UsageError: no record would be left.
    """
    started_at = time.monotonic()
    output, base, options, command = dataset
    edits = find_edits(output, base, labels, edit)
    require_records(output, base, edits)
    sources = Sources(
        labels,
        None,
        left_out=load_skipped(output, base.generations[-1]),
        columns=base.settings.columns,
        removed=edits.removed,
        relabelled=edits.relabelled,
    )
    # A shard of an interrupted run with other new classes would have other labels.
    identity = msgspec.msgpack.encode((command, encode_manifest(base), labels))
    plan = Plan(
        settings=base.settings,
        labels=labels,
        shards=(),
        thresholds=base.thresholds,
        digest=xxhash.xxh3_128_hexdigest(identity),
        fingerprint="",
        generation=base.generations[-1].number + 1,
    )
    plan = add_edits(plan, edits)
    return Run(options, sources, plan, output, base, None, started_at, command, arguments)


def has_edits(run: Run) -> bool:
    """Return whether a run adds a generation: with shards, or only a list of removed records."""
    return bool(run.plan.replaced or run.sources.removed)


def iter_indexes(
    output: Storage, manifest: Manifest
) -> Iterator[tuple[SplitName, int, ShardInfo, Index]]:
    """Yield each split and shard, the number of its first record in the split, and its index."""
    form = RowForm.of(manifest)
    for split, info in manifest.splits.items():
        first = 0
        for shard in info.shards:
            yield split, first, shard, read_shard_index(output, shard, form)
            first += shard.records


def with_labels(row: IndexRow, labels: Labels) -> IndexRow:
    """Return the row of a record with other labels."""
    if row.labels is None:
        return row._replace(label=labels[0])
    return row._replace(labels=labels)


def relabelled_record(row: IndexRow, new: Labels, labels: LabelMap) -> RelabelledRecord:
    """Return the entry of the list of relabelled records for a record and its new labels."""
    old_classes, new_classes = (
        tuple(labels[label] for label in each) for each in (row.all_labels, new)
    )
    return RelabelledRecord(row.key, old_classes, new_classes)


def removed_record(row: IndexRow, split: SplitName, labels: LabelMap) -> RemovedRecord:
    """Return the entry of the list of removed records for a record."""
    return RemovedRecord(
        key=row.key,
        class_name=labels[row.label] if row.labels is None else None,
        split=split,
        bytes=row.source_bytes,
        xxh3_128=row.source_xxh3_128,
        classes=tuple(labels[label] for label in row.labels or ()),
    )
