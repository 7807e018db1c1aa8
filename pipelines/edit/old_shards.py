"""Shards of earlier generations that contain removed records."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from records.errors import CorruptDataError
from records.format.edits import RemovedRecord
from records.format.index import RowForm, read_shard_index
from records.format.manifest import Manifest, ShardInfo
from records.generations import iter_saved
from records.storage import Storage


def find_old_shards(
    output: Storage, base: Manifest, removed: Iterable[RemovedRecord], kept: Collection[str]
) -> tuple[str, ...]:
    """Return the existing shards that contain removed records, sorted by name.

    They are shards of the generations with a saved manifest, also of those that a rollback has
    dropped. A shard with a damaged index may contain the records. A record with the same key counts
    also with another content: a missing file was removed, and has returned with this content.

    Args:
        output: the storage of the dataset.
        base: the manifest of the generation before the removal.
        removed: the removed records.
        kept: the names of the shards of `base` that contain no removed record.
    """
    keys = pa.array({record.key for record in removed}, pa.string())
    if not len(keys):
        return ()
    found: dict[str, tuple[ShardInfo, RowForm]] = {}
    for manifest in (base, *iter_saved(output)):
        form = RowForm.of(manifest)
        for split in manifest.splits.values():
            found |= {shard.name: (shard, form) for shard in split.shards if shard.name not in kept}
    return tuple(
        name
        for name, (shard, form) in sorted(found.items())
        if output.stat(name) is not None and _has_any(output, shard, form, keys)
    )


def _has_any(output: Storage, shard: ShardInfo, form: RowForm, keys: pa.Array) -> bool:
    try:
        table = read_shard_index(output, shard, form).table
    except CorruptDataError:
        return True
    return bool(pc.any(pc.is_in(table["key"], value_set=keys)).as_py())
