"""Labels of index rows: one per row, or any number."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

LABELS = "labels"
"""The column of all labels, in an index of a dataset with any number of labels per image."""

LABELS_FIELD = pa.field(LABELS, pa.list_(pa.int32()), nullable=False)


def has_label_lists(table: pa.Table) -> bool:
    """Return whether the rows have any number of labels."""
    return LABELS in table.column_names


def label_lists(table: pa.Table) -> list[tuple[int, ...]]:
    """Return the labels of each row."""
    if has_label_lists(table):
        return [tuple(labels) for labels in table[LABELS].to_pylist()]
    return [(label,) for label in table["label"].to_pylist()]


def flat_labels(table: pa.Table) -> pa.ChunkedArray:
    """Return the labels of all rows, one after the other, int32."""
    return pc.list_flatten(table[LABELS]) if has_label_lists(table) else table["label"]


def count_labels(table: pa.Table) -> dict[int, int]:
    """Return the number of rows with each label."""
    return dict(Counter(flat_labels(table).to_pylist()))
