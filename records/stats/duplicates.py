"""Exact duplicates: images with the same hash in the index.

duplicates  the same bytes more than once
leaks       the same bytes in more than one split: the model is tested on training images
conflicts   the same bytes with more than one label
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from records.format.index import label_lists
from records.format.layout import SPLITS, SplitName

SPLIT_PRIORITY: tuple[SplitName, ...] = ("test", "validation", "train")
"""The splits by priority: an image in several splits is kept in the first of these splits."""


class Duplicates(msgspec.Struct, frozen=True):
    """Counts of identical images.

    Attributes:
        groups: the number of groups of identical files.
        records: the number of keys that `duplicate_keys` returns.
        leak_groups: the number of groups in more than one split.
        leak_records: the number of keys that `leak_keys` returns.
        conflict_groups: the number of groups with more than one label.
    """

    groups: int
    records: int
    leak_groups: int
    leak_records: int
    conflict_groups: int


class DuplicateRecord(NamedTuple):
    """A record in a group of records with the same source bytes.

    Attributes:
        key: the key of the record.
        labels: its labels.
        split: its split.
        row: the number of its index row, from 0.
    """

    key: str
    labels: tuple[int, ...]
    split: SplitName
    row: int


def find_groups(rows: pa.Table) -> list[list[DuplicateRecord]]:
    """Return groups of two or more records with the same source bytes, each with its best first.

    That is the record to keep: the first by split (test, validation, train), then by key. Earlier
    test results thus stay comparable, and a test split of a fixed size does not change.

    Args:
        rows: a table with the columns `key`, `label`, `source_xxh3_128`, and `split` (the position
            in `SPLITS`); with `labels` if an image has any number of labels.
    """
    codes = rows["source_xxh3_128"].combine_chunks().dictionary_encode().indices.to_numpy()
    repeated = np.bincount(codes)[codes] > 1 if len(codes) else np.zeros(0, bool)
    found = rows.select([name for name in _COLUMNS if name in rows.column_names])
    found = found.append_column("row", pa.array(np.arange(len(rows)))).filter(repeated)
    ranks = pc.take(_RANKS, found["split"])
    found = found.append_column("rank", ranks)
    found = found.take(pc.sort_indices(found.select(_BY), [(name, "ascending") for name in _BY]))
    hashes, keys, splits, numbers = (
        found[name].to_pylist() for name in ("source_xxh3_128", "key", "split", "row")
    )
    grouped = groupby(
        zip(hashes, keys, label_lists(found), splits, numbers, strict=True), lambda row: row[0]
    )
    return [
        [DuplicateRecord(key, labels, SPLITS[split], row) for _, key, labels, split, row in members]
        for _, members in grouped
    ]


_COLUMNS = ("source_xxh3_128", "key", "label", "labels", "split")
_BY = ["source_xxh3_128", "rank", "key"]
_RANKS = pa.array([SPLIT_PRIORITY.index(split) for split in SPLITS], pa.int8())
"""The rank of each split, by its position in `SPLITS`."""


def count_duplicates(groups: list[list[DuplicateRecord]]) -> Duplicates:
    """Return the counts for the groups from `find_groups`."""
    return Duplicates(
        groups=len(groups),
        records=len(duplicate_keys(groups)),
        leak_groups=sum(_is_leak(group) for group in groups),
        leak_records=len(leak_keys(groups)),
        conflict_groups=sum(len({record.labels for record in group}) > 1 for group in groups),
    )


def duplicate_keys(groups: list[list[DuplicateRecord]]) -> list[str]:
    """Return the keys to exclude so that each file is kept once.

    Of each group, the first record is kept: see `find_groups`.
    """
    return sorted(record.key for group in groups for record in group[1:])


def leak_keys(groups: list[list[DuplicateRecord]]) -> list[str]:
    """Return the keys to exclude so that no file is in two splits.

    A file in several splits is kept in test; if it is not in test, it is kept in validation.
    """
    return sorted(
        record.key for group in groups for record in group if record.split != group[0].split
    )


def _is_leak(group: list[DuplicateRecord]) -> bool:
    return len({record.split for record in group}) > 1
