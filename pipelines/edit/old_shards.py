"""Existing shards with removed records, which the present generation does not list."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.source_differences import prune_command
from records.errors import CorruptDataError
from records.format.edits import RemovedRecord
from records.format.index import RowForm, read_shard_index
from records.format.layout import generation_folder, parent, parse_shard_name
from records.format.manifest import Manifest, ShardInfo
from records.generations import iter_saved
from records.storage import Storage


class OldShards(NamedTuple):
    """The existing shards that contain removed records.

    Attributes:
        names: their names, sorted.
        next: the command that removes those that an earlier generation lists, if there are any.
    """

    names: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


def find_old_shards(
    output: Storage, base: Manifest, removed: Iterable[RemovedRecord], kept: Collection[str]
) -> OldShards:
    """Return the existing shards that contain removed records.

    They are shards of the generations with a saved manifest, also of those that a rollback has
    dropped. A shard with a damaged index may contain the records. A record with the same key counts
    also with another content: a missing file was removed, and has returned with this content.

    A shard that no manifest lists may contain the records, too: `prune` keeps a damaged shard,
    because its content is not what shardmill wrote.

    Args:
        output: the storage of the dataset.
        base: the manifest of the generation before the removal.
        removed: the removed records.
        kept: the names of the shards of `base` that contain no removed record.
    """
    keys = pa.array({record.key for record in removed}, pa.string())
    if not len(keys):
        return OldShards()
    listed: dict[str, tuple[ShardInfo, RowForm]] = {}
    for manifest in (base, *iter_saved(output)):
        form = RowForm.of(manifest)
        for split in manifest.splits.values():
            listed |= {shard.name: (shard, form) for shard in split.shards}
    found = [
        name
        for name, (shard, form) in listed.items()
        if name not in kept
        if output.stat(name) is not None and _has_any(output, shard, form, keys)
    ]
    names = sorted([*found, *_find_unlisted(output, base, listed)])
    return OldShards(tuple(names), (prune_command(output.url),) if found else ())


def _has_any(output: Storage, shard: ShardInfo, form: RowForm, keys: pa.Array) -> bool:
    try:
        table = read_shard_index(output, shard, form).table
    except CorruptDataError:
        return True
    return bool(pc.any(pc.is_in(table["key"], value_set=keys)).as_py())


def _find_unlisted(output: Storage, base: Manifest, listed: Collection[str]) -> Iterator[str]:
    """Yield the shards that no manifest lists, except those of a later generation.

    The run of the later generation is not finished, or has just written them.
    """
    folders = {generation_folder(number + 1) for number in range(base.generations[-1].number)}
    for name in output.list():
        if name not in listed and parent(name) in folders and parse_shard_name(name) is not None:
            yield name
