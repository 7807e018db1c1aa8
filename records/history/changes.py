"""Records that differ between two datasets, by key.

Shards that both datasets have are not compared: their records are the same.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from records.dataset import Dataset
from records.format.index import Index
from records.format.layout import SplitName
from records.format.manifest import ShardInfo

SEPARATOR = "\x1f"
"""Between the classes of an image with several labels; no class name contains it."""
KINDS = ("added", "removed", "relabelled", "moved", "modified")
_ROWS = pa.schema(
    {
        "key": pa.large_string(),
        "split": pa.large_string(),
        "class": pa.large_string(),
        "hash": pa.large_string(),
    }
)


class ShardId(NamedTuple):
    """The split and the content of a shard: equal shards have the same records."""

    split: SplitName
    sha256: str
    index_sha256: str


def identify_shards(dataset: Dataset) -> dict[ShardId, tuple[SplitName, int]]:
    """Return the split and the number of each shard with records."""
    return {
        _identify(split, shard): (split, number)
        for split, records in dataset.items()
        for number, shard in enumerate(records.info.shards)
        if shard.records
    }


def _identify(split: SplitName, shard: ShardInfo) -> ShardId:
    return ShardId(split, shard.sha256, shard.index.sha256)


def find_changes(a: Dataset, b: Dataset) -> pa.Table:
    """Return the records that differ between two datasets, in the order of their keys.

    Returns:
        A table with the columns `key`, `split_a`, `split_b`, `class_a` and `class_b` (the classes
        of an image with several labels are separated by `SEPARATOR`; null if the dataset does not
        have the record), and one column of booleans for each of `KINDS`.

    Raises:
        CorruptDataError: an index is damaged or missing.
    """
    shards = identify_shards(a), identify_shards(b)
    common = shards[0].keys() & shards[1].keys()
    one, other = (
        _read_rows(dataset, [place for each, place in found.items() if each not in common])
        for dataset, found in zip((a, b), shards, strict=True)
    )
    return _compare(one, other).sort_by("key")


def _read_rows(dataset: Dataset, places: Collection[tuple[SplitName, int]]) -> pa.Table:
    tables = [_read_shard(dataset, split, number) for split, number in places]
    return pa.concat_tables([_ROWS.empty_table(), *tables]).combine_chunks()


def _read_shard(dataset: Dataset, split: SplitName, number: int) -> pa.Table:
    index = dataset[split].load_index(number)
    columns = {
        "key": index.table["key"],
        "split": pa.repeat(split, len(index.table)),
        "class": _name_classes(dataset, index),
        "hash": index.table["source_xxh3_128"],
    }
    return pa.table(columns).cast(_ROWS)


def _name_classes(dataset: Dataset, index: Index) -> pa.Array:
    names = pa.array(dataset.labels, pa.string())
    if not dataset.is_multi_label:
        return names.take(index.table["label"].combine_chunks())
    lists = index.table["labels"].combine_chunks()
    ends = pc.cumulative_sum(pc.list_value_length(lists))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    rows, classes = pc.list_parent_indices(lists), names.take(pc.list_flatten(lists))
    # The same classes can have other numbers, and thus another order, in the other dataset.
    order = [("row", "ascending"), ("class", "ascending")]
    flat = pa.table({"row": rows, "class": classes}).sort_by(order)["class"].combine_chunks()
    return pc.binary_join(pa.ListArray.from_arrays(offsets, flat), SEPARATOR)


def _compare(a: pa.Table, b: pa.Table) -> pa.Table:
    found = pc.index_in(b["key"], value_set=a["key"])
    in_both = found.is_valid()
    before, after = a.take(found.drop_null()), b.filter(in_both)
    differs = {
        "relabelled": pc.not_equal(before["class"], after["class"]),
        "moved": pc.not_equal(before["split"], after["split"]),
        "modified": pc.not_equal(before["hash"], after["hash"]),
    }
    differing = pc.or_(pc.or_(differs["relabelled"], differs["moved"]), differs["modified"])
    removed = a.filter(pc.invert(pc.is_in(a["key"], value_set=b["key"])))
    added = b.filter(pc.invert(in_both))
    changed = {name: mask.filter(differing) for name, mask in differs.items()}
    return pa.concat_tables(
        [
            _to_changes(removed, None, {"removed": True}),
            _to_changes(None, added, {"added": True}),
            _to_changes(before.filter(differing), after.filter(differing), changed),
        ]
    )


def _to_changes(
    a: pa.Table | None, b: pa.Table | None, kinds: dict[str, bool | pa.ChunkedArray]
) -> pa.Table:
    rows = a if a is not None else b
    assert rows is not None
    columns = {"key": rows["key"]}
    for name in ("split", "class"):
        for side, table in (("a", a), ("b", b)):
            missing = pa.nulls(len(rows), pa.large_string())
            columns[f"{name}_{side}"] = missing if table is None else table[name]
    for kind in KINDS:
        mask = kinds.get(kind, False)
        is_same = isinstance(mask, bool)
        columns[kind] = pa.repeat(mask, len(rows)) if is_same else mask
    return pa.table(columns)
