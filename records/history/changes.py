"""Records that differ between two datasets, by key.

Shards that both datasets have are not compared: their records are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from records.dataset import Dataset
from records.format.columns import Column, Columns
from records.format.index import Index
from records.format.index.row import COLUMNS, arrow_field
from records.format.layout import SplitName
from records.format.manifest import ShardInfo

SEPARATOR = "\x1f"
"""Between the classes of an image with several labels; no class name contains it."""
KINDS = ("added", "removed", "relabelled", "moved", "modified", "updated")
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
    kept = [column for column in _kept_columns(a) if column in _kept_columns(b)]
    one, other = (
        _read_rows(dataset, [place for each, place in found.items() if each not in common], kept)
        for dataset, found in zip((a, b), shards, strict=True)
    )
    return _compare(one, other, kept).sort_by("key")


def _kept_columns(dataset: Dataset) -> Columns:
    return dataset.manifest.settings.columns


def _read_rows(
    dataset: Dataset, places: Collection[tuple[SplitName, int]], kept: Sequence[Column]
) -> pa.Table:
    schema = _ROWS
    for column, field in zip(kept, arrow_field(kept).type, strict=True):
        schema = schema.append(pa.field(column.feature, field.type))
    tables = [_read_shard(dataset, split, number, kept).cast(schema) for split, number in places]
    return pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()


def _read_shard(
    dataset: Dataset, split: SplitName, number: int, kept: Sequence[Column]
) -> pa.Table:
    index = dataset[split].load_index(number)
    columns = {
        "key": index.table["key"],
        "split": pa.repeat(split, len(index.table)),
        "class": _name_classes(dataset, index),
        "hash": index.table["source_xxh3_128"],
    }
    for column in kept:
        place = [index.columns.index(column)]
        columns[column.feature] = pc.struct_field(index.table[COLUMNS], place)
    return pa.table(columns)


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


def _compare(a: pa.Table, b: pa.Table, kept: Sequence[Column]) -> pa.Table:
    found = pc.index_in(b["key"], value_set=a["key"])
    in_both = found.is_valid()
    before, after = a.take(found.drop_null()), b.filter(in_both)
    differs = {
        "relabelled": pc.not_equal(before["class"], after["class"]),
        "moved": pc.not_equal(before["split"], after["split"]),
        "modified": pc.not_equal(before["hash"], after["hash"]),
        "updated": _have_other_values(before, after, kept),
    }
    differing = reduce(pc.or_, differs.values())
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


def _have_other_values(a: pa.Table, b: pa.Table, kept: Sequence[Column]) -> pa.ChunkedArray:
    """Return whether each record has another value in one of the kept columns."""
    differs = pa.chunked_array([pa.repeat(False, len(a))])
    for column in kept:
        one, other = a[column.feature], b[column.feature]
        is_other = pc.not_equal(one, other)
        if column.type == "float32":  # NaN, a missing number, differs from itself
            is_other = pc.and_not(is_other, pc.and_(pc.is_nan(one), pc.is_nan(other)))
        differs = pc.or_(differs, is_other)
    return differs


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
