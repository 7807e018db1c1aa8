"""Statistics of the columns that a dataset keeps."""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

_SHOWN_VALUES = 10


class ColumnStats(msgspec.Struct, frozen=True):
    """Statistics of one column.

    Attributes:
        type: the type of the values: `int64`, `float32` or `string`.
        missing: the number of records without a value: NaN or an empty text.
        distinct: the number of different values.
        min: the least number; None for texts, and without numbers.
        mean: the mean of the numbers; None for texts, and without numbers.
        max: the greatest number; None for texts, and without numbers.
        most_frequent: the most frequent texts, at most 10, with the number of their records; empty
            for numbers.
    """

    type: str
    missing: int
    distinct: int
    min: int | float | None = None
    mean: float | None = None
    max: int | float | None = None
    most_frequent: dict[str, int] = {}


def column_stats(rows: pa.Table) -> dict[str, ColumnStats]:
    """Return the statistics of each column by name; empty for a dataset without columns.

    Args:
        rows: index rows.
    """
    if "columns" not in rows.column_names:
        return {}
    values = rows["columns"]
    return {
        field.name: _stats(pc.struct_field(values, [place]))
        for place, field in enumerate(values.type)
    }


def _stats(values: pa.ChunkedArray) -> ColumnStats:
    if pa.types.is_string(values.type):
        present = values.filter(pc.not_equal(values, ""))
        counted = [
            (each["values"], each["counts"]) for each in pc.value_counts(present).to_pylist()
        ]
        counted.sort(key=lambda each: (-each[1], each[0]))
        frequent = dict(counted[:_SHOWN_VALUES])
        return ColumnStats(
            "string", len(values) - len(present), len(counted), most_frequent=frequent
        )
    is_float = pa.types.is_floating(values.type)
    present = values.filter(pc.invert(pc.is_nan(values))) if is_float else values
    kind = "float32" if is_float else "int64"
    missing, distinct = len(values) - len(present), pc.count_distinct(present).as_py()
    if not len(present):
        return ColumnStats(kind, missing, distinct)
    ends = pc.min_max(present).as_py()
    mean = pc.mean(present.cast(pa.float64(), safe=False)).as_py()
    return ColumnStats(kind, missing, distinct, ends["min"], mean, ends["max"])
