"""Values of the columns of a Parquet batch, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.sources.cells import Row, cell_text

_NO_CELLS: Row = MappingProxyType({})


def column_values(batch: pa.RecordBatch, path: str | None) -> list[Any]:
    """Return the values of a column or of a field of one; only None without a column."""
    if path is None:
        return [None] * len(batch)
    values: list[Any] = _column(batch, path).to_pylist()
    return values


def image_values(batch: pa.RecordBatch, path: str) -> list[memoryview | None]:
    """Return the bytes of the images, without copies of them."""
    column = _column(batch, path)
    ends, content = _ends_and_content(column)
    values: list[memoryview | None] = [content[start:end] for start, end in pairwise(ends.tolist())]
    if column.null_count:
        is_valid = column.is_valid().to_pylist()
        return [value if valid else None for value, valid in zip(values, is_valid, strict=True)]
    return values


def image_content(batch: pa.RecordBatch, path: str) -> bytes | memoryview:
    """Return the bytes of all images one after another; without a copy if none is missing."""
    column = _column(batch, path)
    if column.null_count or not len(column):
        return b"".join(filter(None, image_values(batch, path)))
    ends, content = _ends_and_content(column)
    return content[int(ends[0]) : int(ends[-1])]


def _ends_and_content(column: pa.Array) -> tuple[NDArray[Any], memoryview]:
    """Return the start of the first value and the end of each, of shape (N + 1,), and all bytes."""
    _, offsets, data = column.buffers()
    kind = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    ends = np.frombuffer(offsets, kind)[column.offset :][: len(column) + 1]
    return ends, memoryview(data if data is not None else b"")


def _column(batch: pa.RecordBatch, path: str) -> pa.Array:
    name, _, field = path.rpartition(".") if path not in batch.schema.names else (path, "", "")
    column = batch.column(name)
    if not field:
        return column
    # Only a missing struct needs the slower function: its fields are missing, too.
    return pc.struct_field(column, field) if column.null_count else column.field(field)


def column_cells(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[Row]:
    """Yield the cells of some columns, row by row."""
    if not names:
        yield from repeat(_NO_CELLS, len(batch))
        return
    columns = [column_values(batch, name) for name in names]
    for number in range(len(batch)):
        cells = (cell_text(values[number]) for values in columns)
        yield dict(zip(names, cells, strict=True))
