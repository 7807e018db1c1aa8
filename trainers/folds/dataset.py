"""Folds of the images of a dataset, from its indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from records.errors import UsageError
from records.format.index import RowForm, flat_labels, read_shard_index
from records.text.formatting import pluralize
from trainers.folds.assignment import assign_folds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from records.dataset import Dataset
    from records.format.manifest import ShardInfo


def read_folds(
    dataset: Dataset, shards: Sequence[ShardInfo], folds: int
) -> list[NDArray[np.int64]]:
    """Return the fold of each record of each shard, from 1, int64 (records,).

    The folds depend only on the groups, the hashes of the source files and the labels of the
    records, and not on their order, their keys or their shards; see `assign_folds`.

    Args:
        dataset: the dataset.
        shards: all shards of the split that is divided.
        folds: the number of folds.

    Raises:
        UsageError: there are fewer groups and images than folds.
        CorruptDataError: an index is damaged or missing.
    """
    form = RowForm.of(dataset.manifest)
    names = ("group", "source_xxh3_128", "labels" if dataset.is_multi_label else "label")
    table = pa.concat_tables(
        read_shard_index(dataset.storage, shard, form).table.select(names) for shard in shards
    )
    units = find_units(table)
    if (found := len(np.unique(units))) < folds:
        raise UsageError(
            "more folds than images or groups of train",
            path=dataset.path,
            expected=f"at most {found}",
            got=pluralize(folds, "fold"),
            hint="use fewer folds, or add images",
        )
    labels = flat_labels(table).to_numpy().astype(np.int64)
    images = None
    if dataset.is_multi_label:
        images = pc.list_parent_indices(table["labels"].combine_chunks()).to_numpy()
    chosen = assign_folds(units, labels, folds, images=images)
    ends = np.cumsum([shard.records for shard in shards])
    return np.split(chosen + 1, ends[:-1])


def find_units(table: pa.Table) -> NDArray[np.uint64]:
    """Return a number for each row of an index, uint64 (rows,): equal for rows of one unit.

    The images of a group, and images with the same bytes, belong together.

    Args:
        table: a table with the columns `group` and `source_xxh3_128`.
    """
    groups = table["group"].to_numpy()
    digests = map(str.encode, table["source_xxh3_128"].to_pylist())
    hashes = map(xxhash.xxh3_64_intdigest, digests)
    return np.where(groups != 0, groups, np.fromiter(hashes, np.uint64, count=len(table)))
