"""Sample of the images of each class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
import xxhash

from records.format.index import flat_labels

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MAX_IMAGES = 300
"""The maximum number of images in a sample."""
_MAX_PER_CLASS = 60


def sample_classes(rows: pa.Table) -> list[int]:
    """Return the numbers of some rows of each class, class by class.

    Those with the lowest hashes of their keys are chosen: a random sample, but always the same one.
    If there are more classes than images in a sample, classes are chosen at regular intervals.

    Args:
        rows: index rows, with the columns `key` and `label` or `labels`.
    """
    labels, owners = _labels_of(rows)
    order = np.lexsort((_hash_keys(rows)[owners], labels))
    labels, owners = labels[order], owners[order]
    present, starts = np.unique(labels, return_index=True)
    ends = np.append(starts[1:], len(labels))
    shown = min(len(present), MAX_IMAGES)
    if not shown:
        return []
    chosen = np.arange(shown) * len(present) // shown
    per_class = min(_MAX_PER_CLASS, MAX_IMAGES // shown)
    found = [
        owners[start : min(start + per_class, end)]
        for start, end in zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)
    ]
    return list(dict.fromkeys(np.concatenate(found).tolist()))


def _labels_of(rows: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all labels, and the number of the row that has each of them."""
    labels = flat_labels(rows).to_numpy()
    if "labels" not in rows.column_names:
        return labels, np.arange(len(rows))
    owners = pc.list_parent_indices(rows["labels"].combine_chunks())
    return labels, owners.to_numpy().astype(np.int64)


def _hash_keys(rows: pa.Table) -> NDArray[np.uint64]:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, _encoded_keys(rows)), np.uint64, len(rows))


def _encoded_keys(rows: pa.Table) -> Iterator[bytes]:
    for chunk in rows["key"].chunks:
        yield from chunk.cast("binary").to_pylist()
