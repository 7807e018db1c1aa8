"""Damaged lists of a generation: rejected, skipped, removed and relabelled images."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pipelines.edit.plan import (
    Rename,
    keep_labels,
    relabelled_record,
    removed_record,
    with_labels,
)
from pipelines.incremental.class_renames import find_renames
from pipelines.repair.damage import Damage, expected_digests, ignoring_damage
from pipelines.repair.dataset import DatasetToRepair
from pipelines.repair.listed import ListedFiles
from records.format import layout
from records.format.digest import FileDigest, digest_of
from records.format.edits import RELABELLED, REMOVED
from records.format.index import IndexRow, Reject, RowForm, read_index_file, read_shard_index
from records.format.layout import SplitName
from records.format.manifest import Generation, Manifest, shard_names
from records.format.rejects import encode_rejects
from records.storage import Storage
from records.text.keys import key_from_text


class _Row(NamedTuple):
    row: IndexRow
    split: SplitName


def remake_list(name: str, dataset: DatasetToRepair) -> bytes | None:
    """Return the content of a list; None if it cannot be made with its digest.

    Many lists are empty, and an edit copies the list of skipped files. Other lists follow from the
    indexes of a generation, and of the one before it, or from the source.

    Args:
        name: the name of the list.
        dataset: the dataset.

    Raises:
        InputNotFoundError: the source does not exist.
        StorageError: storage failed after retries.
    """
    expected = dataset.listed.lists[name]
    contents = _iter_contents(name, dataset)
    return next((content for content in contents if digest_of(content) == expected), None)


def _iter_contents(name: str, dataset: DatasetToRepair) -> Iterator[bytes]:
    storage, listed, damage, source, *_ = dataset
    yield b""
    for other in _find_equal(listed.lists[name], listed, damage):
        yield storage.read(other)
    generation = _generation_of(name, listed)
    kind = posixpath.basename(name)
    if generation is None:
        return
    if kind == layout.REJECTS:
        rejects = dict(_iter_rejects(generation, storage, listed))
        yield _encode(rejects)
        yield _encode({each.key: each for each in source.listing.rejects} | rejects)
    elif kind in {layout.REMOVED, layout.RELABELLED}:
        with ignoring_damage(storage):  # an index is damaged
            yield from _iter_edits(kind, generation.number, dataset)
    elif kind == layout.SKIPPED:
        yield b"".join(msgspec.json.encode(file) + b"\n" for file in source.listing.left_out)


def _find_equal(digest: FileDigest, listed: ListedFiles, damage: Damage) -> Iterator[str]:
    for name, other in expected_digests(listed).items():
        if other == digest and name not in damage:
            yield name


def _generation_of(name: str, listed: ListedFiles) -> Generation | None:
    for manifest in listed.manifests.values():
        for generation in manifest.generations:
            if layout.generation_path(posixpath.basename(name), generation.number) == name:
                return generation
    return None


def _iter_rejects(
    generation: Generation, storage: Storage, listed: ListedFiles
) -> Iterator[tuple[str, Reject]]:
    """Yield the rejects in the indexes of a generation, by key."""
    for shard in listed.written_in(generation.number):
        with ignoring_damage(storage):
            summary = read_index_file(storage, layout.index_name(shard.info.name)).summary
            yield from ((reject.key, reject) for reject in summary.rejects)


def _iter_edits(kind: str, generation: int, dataset: DatasetToRepair) -> Iterator[bytes]:
    """Yield what may be the list of the edits between a generation and the one before it."""
    manifests = dataset.listed.manifests
    if generation not in manifests or generation - 1 not in manifests:
        return
    base, edited = manifests[generation - 1], manifests[generation]
    renames = find_renames(edited.generations[-1].renamed_classes, base)
    before = _rows_of_one(base, edited, dataset, renames.apply)
    after = _rows_of_one(edited, base, dataset)
    keys = sorted(before, key=key_from_text)
    if kind == layout.REMOVED:
        removed = [removed_record(*before[key], edited.labels) for key in keys if key not in after]
        for deleted in (False, True):
            marked = (msgspec.structs.replace(each, deleted=deleted) for each in removed)
            yield REMOVED.encode(marked)
        return
    pairs = [(before[key].row, after[key].row.all_labels) for key in keys if key in after]
    relabelled = [
        relabelled_record(row, new, edited.labels) for row, new in pairs if new != row.all_labels
    ]
    for source in (False, True):
        yield RELABELLED.encode(msgspec.structs.replace(each, source=source) for each in relabelled)


def _rows_of_one(
    manifest: Manifest, other: Manifest, dataset: DatasetToRepair, rename: Rename = keep_labels
) -> dict[str, _Row]:
    """Return the rows of the shards that only the first of two manifests lists, by key.

    Args:
        manifest: the manifest.
        other: the other manifest.
        dataset: the dataset.
        rename: the function that returns the labels of a record after its classes are renamed.
    """
    common = shard_names(other)
    return {
        row.key: _Row(with_labels(row, rename(row.all_labels)), split)
        for split, info in manifest.splits.items()
        for shard in info.shards
        if shard.name not in common
        for row in read_shard_index(dataset.storage, shard, RowForm.of(manifest)).rows()
    }


def _encode(rejects: dict[str, Reject]) -> bytes:
    return encode_rejects(rejects[key] for key in sorted(rejects, key=key_from_text))
