"""Exact duplicates: images with the same hash in the index.

duplicates  the same bytes more than once
leaks       the same bytes in more than one split: the model is tested on training images
conflicts   the same bytes with more than one label
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import pyarrow.compute as pc

from records.format.index import label_lists
from records.format.layout import SPLITS, SplitName

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

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
    """A record in a group of records with the same source bytes."""

    key: str
    labels: tuple[int, ...]
    split: SplitName


def find_groups(rows: pa.Table) -> list[list[DuplicateRecord]]:
    """Return groups of two or more records with the same source bytes, each sorted by key.

    Args:
        rows: a table with the columns `key`, `label`, `source_xxh3_128`, and `split` (the position
            in `SPLITS`); with `labels` if an image has any number of labels.
    """
    codes = rows["source_xxh3_128"].combine_chunks().dictionary_encode().indices.to_numpy()
    repeated = np.bincount(codes)[codes] > 1 if len(codes) else np.zeros(0, bool)
    names = ["source_xxh3_128", "key", "label", "labels", "split"]
    found = rows.select([name for name in names if name in rows.column_names]).filter(repeated)
    found = found.take(pc.sort_indices(found.select(_BY), _BY_HASH_AND_KEY))
    hashes, keys, splits = (found[name].to_pylist() for name in (*_BY, "split"))
    grouped = groupby(
        zip(hashes, keys, label_lists(found), splits, strict=True), lambda row: row[0]
    )
    return [
        [DuplicateRecord(key, labels, SPLITS[split]) for _, key, labels, split in members]
        for _, members in grouped
    ]


_BY = ["source_xxh3_128", "key"]
_BY_HASH_AND_KEY = [(name, "ascending") for name in _BY]


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

    Of each group, the first record is kept.
    """
    return sorted(record.key for group in groups for record in group[1:])


def leak_keys(groups: list[list[DuplicateRecord]]) -> list[str]:
    """Return the keys to exclude so that no file is in two splits.

    A file in several splits is kept in test; if it is not in test, it is kept in validation.
    Earlier test results thus stay comparable, and a test split of a fixed size does not change.
    """
    return sorted(key for group in groups if _is_leak(group) for key in _keys_to_exclude(group))


def _is_leak(group: list[DuplicateRecord]) -> bool:
    return len({record.split for record in group}) > 1


def _keys_to_exclude(group: list[DuplicateRecord]) -> Iterator[str]:
    present = {record.split for record in group}
    kept = next(split for split in SPLIT_PRIORITY if split in present)
    return (record.key for record in group if record.split != kept)
