"""A shard without an index, converted again by the same plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.edit.plan import digest_edits
from pipelines.incremental.append import read_existing_splits
from pipelines.planning.existing_splits import ExistingSplits, existing_splits
from pipelines.planning.plan import Plan, PlannedShard, make_plan
from pipelines.repair.damage import ignoring_damage
from pipelines.repair.dataset import DatasetToRepair
from pipelines.repair.listed import ListedShard
from pipelines.repair.reindex import encode_rows
from pipelines.repair.remake import NotTheSameError, Remade, has_hashes
from pipelines.sources.base import new_image_table
from pipelines.writing.shard import make_reject, write_record
from records.errors import UsageError
from records.format.digest import digest_of
from records.format.edits import RELABELLED, REMOVED
from records.format.index import IndexRow, Reject, read_shard_index
from records.format.layout import parse_shard_name
from records.format.manifest import Generation, Manifest
from records.format.rejects import read_rejects
from records.format.shard import ShardWriter
from records.images import Rejection
from records.storage import Storage
from records.text.keys import key_from_text


def convert_again(shard: ListedShard, dataset: DatasetToRepair) -> tuple[Remade, bytes | None]:
    """Convert the images of a shard again, if the source gives the plan of its generation.

    The shard is written if it has the hashes in the manifest.

    Returns:
        The result, and the index; None if it does not have its digest.

    Raises:
        InputNotFoundError: the source does not exist.
        OutputError: the dataset cannot be written to.
        StorageError: storage failed after retries.
    """
    remade, index = Remade(), None
    planned = _find_plan(shard, dataset)
    if planned is None:
        return remade, None
    labels, columns = shard.manifest.labels, shard.manifest.settings.columns
    rows: list[IndexRow] = []
    rejects: list[Reject] = []
    with suppress(NotTheSameError), dataset.overwrite(shard.info.name) as staged:
        writer = ShardWriter(staged)
        for read in dataset.source.normalize(planned.images):
            if isinstance(read.normalized, Rejection):
                rejects.append(make_reject(read, read.normalized, labels))
                continue
            rows.append(write_record(writer, read, read.normalized, labels, columns))
            remade.from_source += 1
            remade.reencoded += bool(read.normalized.changes)
        remade.is_identical = has_hashes(writer, shard.info)
        if not remade.is_identical:
            raise NotTheSameError
        content = encode_rows(shard, rows, rejects)
        index = content if digest_of(content) == shard.info.index else None
    return remade, index


def _find_plan(shard: ListedShard, dataset: DatasetToRepair) -> PlannedShard | None:
    """Return the plan of a shard; None if no selection of the images has the plan digest."""
    generation = shard.written_by
    manifest = dataset.listed.manifests.get(generation.number, shard.manifest)
    made = generation.number, manifest.labels
    if (plan := dataset.plans.get(made)) is None:
        plan = next(_iter_plans(generation, manifest, dataset), None)
    if plan is None:  # it may be found after the index of another generation is repaired
        return None
    dataset.plans[made] = plan
    return _find_shard(plan, shard.info.name)


def _find_shard(plan: Plan, name: str) -> PlannedShard | None:
    """Return the shard of a plan by its number: those of new images follow the copies of a run."""
    parts = parse_shard_name(name)
    planned = [each for each in plan.shards if parts is not None and each.split == parts.split]
    number = -1 if parts is None else parts.number - parts.of + len(planned)
    return planned[number] if 0 <= number < len(planned) else None


def _iter_plans(
    generation: Generation, manifest: Manifest, dataset: DatasetToRepair
) -> Iterator[Plan]:
    """Yield the plans of selections of the images that have the plan digest of a generation."""
    if not generation.counts.stored + generation.counts.rejected:
        return  # an edit or a compaction: it has no image of the source
    before = dataset.listed.manifests.get(generation.number - 1)
    if generation.number > 1 and before is None:
        return  # its manifest was pruned
    storage = dataset.storage
    existing = None if before is None else _existing_splits(before, storage)
    for images in _iter_selections(generation.number, dataset):
        sources = replace(dataset.source.listing, labels=manifest.labels, images=new_image_table())
        for batch in images.to_batches():
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            sources.add_columns(columns.pop("split").to_pylist(), **columns)
        # A split would be empty, or a list of edits is damaged, too.
        with suppress(UsageError), ignoring_damage(storage):
            plan = make_plan(
                sources, manifest.settings, existing=existing, generation=generation.number
            )
            if _add_edits(plan.digest, generation, manifest, storage) == generation.plan_digest:
                yield plan


def _add_edits(digest: str, generation: Generation, manifest: Manifest, storage: Storage) -> str:
    """Return the digest of a plan with the edits of the same run, if it had any."""
    if not (generation.removed or generation.relabelled or generation.renamed_classes):
        return digest
    removed = REMOVED.read_listed(storage, manifest, generation.number)
    relabelled = RELABELLED.read_listed(storage, manifest, generation.number)
    return digest_edits(digest, removed, relabelled, generation.renamed_classes)


def _existing_splits(before: Manifest, storage: Storage) -> ExistingSplits:
    with ignoring_damage(storage):  # an index with groups may be damaged, too
        return read_existing_splits(storage, before)
    return existing_splits(before)


def _iter_selections(generation: int, dataset: DatasetToRepair) -> Iterator[pa.Table]:
    """Yield what may be the images of a generation: all, and those of no other generation."""
    table = dataset.source.table
    if generation == 1:
        yield table
    for has_mixed in (True, False):
        keys = pa.array(_iter_other_keys(generation, dataset, has_mixed), pa.large_binary())
        others = pa.concat_arrays([keys, *dataset.source.renamed["key"].chunks])
        yield table.filter(pc.invert(pc.is_in(table["key"], value_set=others)))


def _iter_other_keys(generation: int, dataset: DatasetToRepair, has_mixed: bool) -> Iterator[bytes]:
    """Yield the keys that other generations have stored or rejected.

    A later generation that edits records copies those of this generation, too.

    Args:
        generation: the generation to plan.
        dataset: the dataset.
        has_mixed: whether later generations that both store and edit images count.
    """
    storage, listed = dataset.storage, dataset.listed
    for shard in listed.shards.values():
        other = shard.written_by
        is_edit = bool(other.removed or other.relabelled)
        is_new = not is_edit or (has_mixed and bool(other.counts.stored))
        if other.number < generation or (other.number > generation and is_new):
            with ignoring_damage(storage):
                keys = read_shard_index(storage, shard.info).table["key"]
                yield from map(key_from_text, keys.to_pylist())
    for each in listed.present.generations:
        if each.number != generation:
            with ignoring_damage(storage):
                rejects = read_rejects(storage, each.number)
                yield from (key_from_text(reject.key) for reject in rejects)
