"""Images that are the same file: found by the hashes in the index.

duplicates  the same bytes more than once
leaks       the same bytes in more than one split: a model is tested on what it was trained on
conflicts   the same bytes with more than one label
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from records.format.layout import SPLITS, SplitName

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

KEPT_FIRST: tuple[SplitName, ...] = ("test", "validation", "train")


class Duplicates(msgspec.Struct, frozen=True):
    """How many images are the same file as another.

    Attributes:
        groups: sets of equal files.
        records: how many records those are, less one a group.
        leak_groups: sets that lie in more than one split.
        leak_records: how many records `leak_keys` names.
        conflict_groups: sets with more than one label.
    """

    groups: int
    records: int
    leak_groups: int
    leak_records: int
    conflict_groups: int


class DuplicateRecord(NamedTuple):
    """A record that is the same file as another one."""

    key: str
    label: int
    split: SplitName


def find_groups(rows: pa.Table) -> list[list[DuplicateRecord]]:
    """Records of the same source bytes, each group by key, two or more in each.

    Args:
        rows: columns `key`, `label`, `source_xxh3_128`, and `split` as a place in `SPLITS`.
    """
    codes = rows["source_xxh3_128"].combine_chunks().dictionary_encode().indices.to_numpy()
    repeated = np.bincount(codes)[codes] > 1 if len(codes) else np.zeros(0, bool)
    found = rows.filter(repeated).select(["source_xxh3_128", "key", "label", "split"])
    values = [column.to_pylist() for column in found.sort_by(_BY_HASH_AND_KEY).columns]
    grouped = groupby(zip(*values, strict=True), key=lambda row: row[0])
    return [
        [DuplicateRecord(key, label, SPLITS[split]) for _, key, label, split in members]
        for _, members in grouped
    ]


_BY_HASH_AND_KEY = [("source_xxh3_128", "ascending"), ("key", "ascending")]


def count_duplicates(groups: list[list[DuplicateRecord]]) -> Duplicates:
    """The groups of `find_groups` in figures."""
    return Duplicates(
        groups=len(groups),
        records=len(duplicate_keys(groups)),
        leak_groups=sum(_is_leak(group) for group in groups),
        leak_records=len(leak_keys(groups)),
        conflict_groups=sum(len({twin.label for twin in group}) > 1 for group in groups),
    )


def duplicate_keys(groups: list[list[DuplicateRecord]]) -> list[str]:
    """The keys to leave out so that every file is there once: all but each group's first."""
    return sorted(twin.key for group in groups for twin in group[1:])


def leak_keys(groups: list[list[DuplicateRecord]]) -> list[str]:
    """The keys to leave out so that no file is in two splits.

    What is held out stays: of a file in several splits, test keeps it, else validation. So figures
    measured before can be compared, and a test split chosen by number does not change.
    """
    return sorted(key for group in groups if _is_leak(group) for key in _not_kept(group))


def _is_leak(group: list[DuplicateRecord]) -> bool:
    return len({twin.split for twin in group}) > 1


def _not_kept(group: list[DuplicateRecord]) -> Iterator[str]:
    present = {twin.split for twin in group}
    kept = next(split for split in KEPT_FIRST if split in present)
    return (twin.key for twin in group if twin.split != kept)
