"""Compaction of all generations of a dataset into a new one.

The new generation has the shards that a compaction into a new dataset would write, and its manifest
lists no other shard. It follows from the earlier generations, so their lists of rejected, removed
and relabelled images stay valid.
"""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines.compact.records import list_records
from pipelines.edit.apply import apply_edits, open_to_edit
from pipelines.edit.old_shards import OldShards, find_old_shards
from pipelines.edit.plan import DatasetToEdit, iter_indexes
from pipelines.planning.existing_splits import existing_splits
from pipelines.planning.plan import Plan, PlannedShard, make_plan
from pipelines.planning.replaced_shards import ReplacedShard
from pipelines.report import Report, report_finished, report_plan, report_splits
from pipelines.run import Run
from pipelines.sources import Sources
from records.format.edits import REMOVED, RemovedRecord
from records.format.index import count_labels
from records.format.layout import SPLITS, parent, parse_shard_name
from records.format.manifest import (
    Manifest,
    ShardInfo,
    encode_manifest,
    shard_names,
)
from records.runtime.malloc import table_blocks_returned
from records.runtime.row_table import from_numbers
from records.runtime.shard_worker import OnProgress, RunnerConfig
from records.runtime.telemetry import span
from records.storage import Storage
from records.text.keys import key_from_text


def compact_in_place(
    dataset: str,
    *,
    runner: RunnerConfig,
    processes: int | None,
    dry_run: bool,
    message: str | None,
    on_progress: OnProgress | None,
) -> Report:
    """Write all records of a dataset as a new generation of it; see `compact`."""
    edited = open_to_edit(dataset, "compact", runner, processes, message)
    planned = _list_and_plan(edited)
    run = _replace_shards(planned, edited.manifest)
    manifest = edited.manifest if dry_run else apply_edits(run, on_progress)
    report = _report(planned, run, manifest, dry_run=dry_run)
    old = _find_old_shards(edited.output, manifest, planned.plan)
    return msgspec.structs.replace(report, old_shards=old.names, next=old.next)


@table_blocks_returned()
def _list_and_plan(dataset: DatasetToEdit) -> Run:
    """Plan the shards of a compaction into a new dataset, with the names of a new generation."""
    started_at = time.monotonic()
    output, base, options, command = dataset
    with span("list"):
        sources = list_records(output, base)
        sources.rejects = []  # the lists of earlier generations stay
    with span("plan"):
        plan = make_plan(
            sources,
            base.settings,
            existing=existing_splits(base),
            generation=base.generations[-1].number + 1,
            is_split=True,
        )
    # Not the digest of a conversion of the same images, whose shards have other names.
    identity = msgspec.msgpack.encode((command, encode_manifest(base)))
    plan = replace(plan, digest=xxhash.xxh3_128_hexdigest(identity))
    return Run(options, sources, plan, output, started_at=started_at, command=command)


def _replace_shards(planned: Run, base: Manifest) -> Run:
    """Return the run that replaces all shards of a dataset with those of a plan.

    It replaces none if the dataset has these shards already. The new generation stores nothing, and
    lists the same skipped files as the previous one.
    """
    copies: tuple[PlannedShard, ...] = ()
    replaced: dict[str, ReplacedShard] = {}
    if not _has_shards(base, planned.plan):
        copies = planned.plan.shards
        replaced = {
            shard.name: ReplacedShard(shard, count_labels(index.table), by=None)
            for _, _, shard, index in iter_indexes(planned.output, base)
        }
    plan = replace(planned.plan, shards=(), copies=copies, replaced=replaced)
    left_out, columns = planned.sources.left_out, planned.sources.columns
    sources = Sources(base.labels, None, left_out=left_out, columns=columns)
    return replace(planned, sources=sources, plan=plan, base=base)


def _has_shards(base: Manifest, plan: Plan) -> bool:
    """Return whether a dataset has the shards of a plan, in the folder of one generation."""
    if len({parent(name) for name in shard_names(base)}) > 1:
        return False
    for split in SPLITS:
        present = base.splits[split].shards if split in base.splits else ()
        shards = [shard for shard in plan.shards if shard.split == split]
        if not _are_equal(present, shards):
            return False
    return True


def _are_equal(present: tuple[ShardInfo, ...], planned: list[PlannedShard]) -> bool:
    """Return whether the shards of a split have the names and the records of planned shards."""
    sizes = [(parse_shard_name(shard.name), shard.records) for shard in present]
    if sizes != [(parse_shard_name(shard.name), len(shard)) for shard in planned]:
        return False
    if not planned:
        return True
    rows = from_numbers(np.concatenate([shard.rows for shard in planned]))
    numbers = planned[0].table["record_number"].take(rows).to_numpy()
    return bool((numbers == np.arange(len(numbers))).all())


def _report(planned: Run, run: Run, manifest: Manifest, *, dry_run: bool) -> Report:
    if not run.plan.replaced:
        return report_finished(planned, manifest)
    if dry_run:
        return report_plan(planned, status="planned")
    seconds = time.monotonic() - run.started_at
    return msgspec.structs.replace(
        report_plan(planned, status="converted"),
        splits=report_splits(manifest.splits),
        seconds=round(seconds, 3),
        images_per_second=round(planned.plan.images / seconds, 1),
    )


def _find_old_shards(output: Storage, manifest: Manifest, plan: Plan) -> OldShards:
    """Return the shards with records that were removed."""
    removed = _without_present(REMOVED.read_all(output, manifest), plan)
    return find_old_shards(output, manifest, removed, shard_names(manifest))


def _without_present(removed: list[RemovedRecord], plan: Plan) -> list[RemovedRecord]:
    """Return the removed records whose keys have no record: the file of a record may return."""
    keys = pa.array([key_from_text(record.key) for record in removed], pa.large_binary())
    is_present = pc.is_in(keys, value_set=plan.shards[0].table["key"]).to_pylist()
    pairs = zip(removed, is_present, strict=True)
    return [record for record, present in pairs if not present]
