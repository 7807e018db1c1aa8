"""Labels of images with any number of labels: counts and pairs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pyarrow as pa

MAX_CLASSES = 500
"""Maximum number of classes for which pairs are counted: the time grows with its square."""

_LISTED_PAIRS = 100
_BATCH_ROWS = 1 << 14


class LabelPair(msgspec.Struct, frozen=True):
    """Two labels that occur together, and the number of records that have both."""

    labels: tuple[int, int]
    records: int


def count_per_image(rows: pa.Table) -> dict[int, int]:
    """Return the number of records for each number of labels, in ascending order."""
    counts = Counter(pc.list_value_length(rows["labels"]).to_pylist())
    return dict(sorted(counts.items()))


def find_pairs(rows: pa.Table, classes: int) -> tuple[LabelPair, ...]:
    """Return the pairs of labels that occur together most often, at most 100.

    The result is empty for more than `MAX_CLASSES` classes.

    Args:
        rows: index rows with the column `labels`.
        classes: the number of classes.
    """
    if not 1 < classes <= MAX_CLASSES:
        return ()
    together = np.zeros((classes, classes), np.int64)
    for batch in rows.select(["labels"]).to_batches(max_chunksize=_BATCH_ROWS):
        lengths = pc.list_value_length(batch["labels"]).to_numpy()
        hot = np.zeros((len(lengths), classes), np.float32)
        hot[np.repeat(np.arange(len(lengths)), lengths), pc.list_flatten(batch["labels"])] = 1
        together += (hot.T @ hot).astype(np.int64)
    first, second = np.nonzero(np.triu(together, k=1))
    counts = together[first, second]
    order = np.lexsort((second, first, -counts))[:_LISTED_PAIRS]
    return tuple(
        LabelPair((int(first[place]), int(second[place])), int(counts[place])) for place in order
    )
