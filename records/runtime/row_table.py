"""Millions of rows in Arrow columns.

Rows are appended and iterated as structs or named tuples, and stored as Arrow batches. A row takes
about 100 bytes; as a Python object, it would take 500. Arrow sorts and filters all rows in one
operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_BATCH_ROWS = 8192

Row = TypeVar("Row")
Column: TypeAlias = Sequence[Any] | pa.Array
"""The values of a column, of shape (N,)."""


class RowTable(Generic[Row]):
    """A sequence of rows of one type.

    Args:
        kind: the type of the rows; the constructor takes the values of a row.
        schema: the schema, with one column per value of a row, in the same order; a column has the
            name of the attribute.
        rows: the initial rows.
    """

    def __init__(self, kind: type[Row], schema: pa.Schema, rows: Iterable[Row] = ()) -> None:
        self._kind, self._schema = kind, schema
        self._batches: list[pa.RecordBatch] = []
        self._packed = 0
        self._unpacked: list[Row] = []
        for row in rows:
            self.append(row)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._packed + len(self._unpacked)

    def append(self, row: Row) -> None:
        """Append a row."""
        self._unpacked.append(row)
        if len(self._unpacked) == _BATCH_ROWS:
            self._pack()

    def __iter__(self) -> Iterator[Row]:
        """Yield every row as a new object."""
        self._pack()
        for batch in self._batches:
            for part in _divide(batch):
                yield from map(self._kind, *map(_to_list, part.columns))

    def append_columns(self, **columns: Column) -> None:
        """Append rows by columns of equal length; a column that is not given is null."""
        self._pack()
        rows = max(map(len, columns.values()), default=0)
        for first in range(0, rows, _BATCH_ROWS):
            end = first + _BATCH_ROWS
            self._append({name: values[first:end] for name, values in columns.items()})

    def consume(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows in batches and free their memory; the table is empty afterwards."""
        self._pack()
        batches, self._batches, self._packed = self._batches[::-1], [], 0
        while batches:
            yield from _divide(batches.pop())

    def to_table(self) -> pa.Table:
        """Return all rows in their current order."""
        self._pack()
        return pa.Table.from_batches(self._batches, self._schema)

    def compact(self) -> pa.Table:
        """Return all rows in their current order, each column as one chunk."""
        return self._concatenate(None)

    def filter(self, mask: pa.Array) -> None:
        """Keep the rows for which `mask`, of shape (N,), is true."""
        self._batches = self.to_table().filter(mask).to_batches()
        self._packed = sum(map(len, self._batches))

    def set_column(self, name: str, values: pa.ChunkedArray) -> None:
        """Replace a column; `values` has its type, and one value per row."""
        table = self.to_table()
        number = self._schema.get_field_index(name)
        self._batches = table.set_column(number, self._schema.field(number), values).to_batches()

    def sort(self, by: str) -> pa.Table:
        """Sort the rows by a column, in ascending order, and return the rows as a table."""
        return self._concatenate(_order(self.to_table(), by))

    def _concatenate(self, order: pa.Array | None) -> pa.Table:
        table = self.to_table()
        self._batches.clear()
        columns = []
        while table.num_columns:  # one column at a time, so that only one is in memory twice
            columns.append(_concatenate(table.column(0), order))
            table = table.remove_column(0)
        table = pa.Table.from_arrays(columns, schema=self._schema)
        self._batches = table.to_batches()
        return table

    def _pack(self) -> None:
        if self._unpacked:
            rows, self._unpacked = self._unpacked, []
            self._append({name: list(map(attrgetter(name), rows)) for name in self._schema.names})

    def _append(self, columns: Mapping[str, Column]) -> None:
        rows = len(next(iter(columns.values())))
        arrays = [_to_array(columns.get(field.name), field.type, rows) for field in self._schema]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._packed += rows


def _order(table: pa.Table, by: str) -> pa.Array | None:
    """Return the sorted order of the rows; None if the rows are sorted already."""
    column = table[by]
    before = column[: max(len(column) - 1, 0)]
    if pc.all(pc.less_equal(before, column[1:]), min_count=0).as_py():
        return None
    return pc.sort_indices(table, [(by, "ascending")])


def _concatenate(column: pa.ChunkedArray, order: pa.Array | None) -> pa.ChunkedArray | pa.Array:
    """Return a column as one chunk in the given order; a column of nulls is unchanged."""
    if column.null_count == len(column):
        return column
    return column.combine_chunks() if order is None else column.take(order)


def _divide(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for first in range(0, len(batch), _BATCH_ROWS):
        yield batch.slice(first, _BATCH_ROWS)


def _to_array(values: Column | None, kind: pa.DataType, rows: int) -> pa.Array:
    if isinstance(values, pa.Array):
        return _nulls(kind)[:rows] if values.null_count == rows else values
    if values is None or (values[-1] is None and values.count(None) == rows):
        return _nulls(kind)[:rows]
    return pa.array(values, kind)


@cache
def _nulls(kind: pa.DataType) -> pa.Array:
    """Return a batch of nulls, shared by all columns that contain only nulls."""
    return pa.nulls(_BATCH_ROWS, kind)


def from_numbers(numbers: NDArray[Any]) -> pa.Array:
    """Return numbers as an Arrow array over the same memory.

    `pa.array` imports numpy.ma, which takes as long as the conversion of ten images.
    """
    memory = pa.py_buffer(np.ascontiguousarray(numbers))
    return pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), len(numbers), [None, memory])


def iter_rows(table: pa.Table, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield the values of the given columns by row, with one batch in memory at a time."""
    for batch in table.select(columns).to_batches(max_chunksize=_BATCH_ROWS):
        yield from zip(*map(_to_list, batch.columns), strict=True)


def _to_list(column: pa.Array) -> list[Any]:
    """Return the values of a column; Arrow takes longer for columns of nulls and dictionaries."""
    if column.null_count == len(column):
        return [None] * len(column)
    is_dictionary = pa.types.is_dictionary(column.type)
    values: list[Any] = (column.dictionary_decode() if is_dictionary else column).to_pylist()
    return values
