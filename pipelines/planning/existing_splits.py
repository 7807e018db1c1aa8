"""Splits of a dataset to append to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.planning.iterative_stratify import SplitCounts
from pipelines.planning.split_hash import NO_HASHES, Hashes, SplitNumbers
from records.format.index import hash_group
from records.format.layout import SPLITS
from records.format.manifest import Manifest, SplitThreshold
from records.runtime.row_table import iter_rows

_NO_SPLITS: SplitNumbers = np.array([], np.int8)


class ExistingSplits(NamedTuple):
    """The splits of a dataset.

    Attributes:
        thresholds: the split thresholds.
        records: the number of records of each split, (splits,).
        class_records: the number of records with each label, by split, (labels, splits).
        groups: hashes of groups, as `hash_group` returns them, in ascending order, (G,).
        group_splits: the split of each group, (G,).
    """

    thresholds: tuple[SplitThreshold, ...]
    records: NDArray[np.int64]
    class_records: NDArray[np.int64]
    groups: Hashes = NO_HASHES
    group_splits: SplitNumbers = _NO_SPLITS

    def counts(self, classes: int) -> SplitCounts:
        """Return the numbers of records; those without a label do not count as such.

        Args:
            classes: the number of classes, at least that of the dataset.
        """
        missing = classes + 1 - len(self.class_records)
        return SplitCounts(self.records, np.pad(self.class_records, ((0, missing), (0, 0))))

    def find_groups(self, groups: pa.ChunkedArray) -> SplitNumbers:
        """Return the split of the group of each image, (N,); -1 for a new group, or for none."""
        splits = np.full(len(groups), -1, np.int8)
        if not len(self.groups) or groups.null_count == len(groups):
            return splits
        rows = iter_rows(pa.table({"group": groups}), "group")
        hashes = np.fromiter((hash_group(group) for (group,) in rows), np.uint64, len(groups))
        places = np.searchsorted(self.groups, hashes) % len(self.groups)
        is_known = self.groups[places] == hashes
        splits[is_known] = self.group_splits[places[is_known]]
        return splits


def existing_splits(
    manifest: Manifest, groups: Iterable[tuple[int, NDArray[np.uint64]]] = ()
) -> ExistingSplits:
    """Return the splits of a dataset.

    Args:
        manifest: the manifest of the dataset.
        groups: the number of the split of each shard, and the hashes of the groups of its records,
            0 for none; needed only if new images get the splits of their groups.
    """
    splits = [manifest.splits.get(split) for split in SPLITS]
    records = [0 if split is None else split.records for split in splits]
    none = (0,) * len(manifest.labels)
    by_class = [none if split is None else split.class_records for split in splits]
    found = {
        group: split
        for split, hashes in sorted(groups, key=lambda shard: -shard[0])
        for group in np.unique(hashes[hashes != 0]).tolist()
    }
    known = sorted(found)
    return ExistingSplits(
        manifest.thresholds,
        np.array(records, np.int64),
        np.array(by_class, np.int64).T,
        np.array(known, np.uint64),
        np.array([found[group] for group in known], np.int8),
    )
