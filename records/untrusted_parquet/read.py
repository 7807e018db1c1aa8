"""Reader of untrusted Parquet files, with limits on memory and time.

A page of a few bytes may hold any number of equal values, and a dictionary may repeat a long string
for every row. So the sizes in page headers are checked before a page is read, and rows are read in
batches that are so small that no dictionary can expand a batch beyond the limit.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator
from itertools import cycle

import pyarrow as pa
import pyarrow.parquet as pq

from records.text.formatting import pluralize
from records.untrusted_parquet.page_sizes import FileSizes, read_page_sizes

MAX_GROWTH = 1000
GROWTH_ALLOWED_BYTES = 16 << 20
_MAX_BATCHES = 1000
# The size of a number, or of the position and the row of a string.
_VALUE_BYTES = 16
_FIXED_TYPES = frozenset({"BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE"})


class InvalidParquetError(ValueError):
    """A file is not Parquet, is damaged, has unexpected values, or expands too much."""


def read_untrusted(
    content: bytes, schema: pa.Schema, *, nullable: Collection[str] = ()
) -> pa.Table:
    """Return all rows of a Parquet file.

    Args:
        content: the content of the file.
        schema: the schema of the result: numbers, strings, lists of strings, and structs of numbers
            and strings.
        nullable: the columns that may contain nulls.

    Raises:
        InvalidParquetError: `content` is damaged, does not match `schema`, or expands too much.
    """
    try:
        return _require_no_nulls(_read(content, None).cast(schema), nullable)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidParquetError(str(error)) from error


def read_untrusted_columns(content: bytes) -> pa.Table:
    """Return the columns of a Parquet file that hold numbers, booleans, strings or lists of them.

    The values may be null.

    Raises:
        InvalidParquetError: `content` is damaged, expands too much, or has two columns of one name.
    """
    try:
        return _require_distinct(_read(content, _is_plain))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidParquetError(str(error)) from error


def _require_no_nulls(table: pa.Table, nullable: Collection[str]) -> pa.Table:
    if any(map(_count_nulls, table.drop_columns([*nullable]).columns)):
        raise ValueError("a column contains null values")
    return table


def _require_distinct(table: pa.Table) -> pa.Table:
    if len(set(table.column_names)) < table.num_columns:
        raise ValueError("two columns have the same name")
    return table


def _is_plain(field: pa.Field) -> bool:
    kind = field.type.value_type if is_list(field.type) else field.type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
    )
    return any(test(kind) for test in tests)


def is_list(kind: pa.DataType) -> bool:
    """Return whether the values of a column are lists."""
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def _read(content: bytes, wanted: Callable[[pa.Field], bool] | None) -> pa.Table:
    """Return all columns, or those of the wanted fields at the top; without the file's metadata."""
    allowed_bytes = max(GROWTH_ALLOWED_BYTES, MAX_GROWTH * len(content))
    sizes = read_page_sizes(content)
    largest_bytes = max((column.dictionary_bytes for column in sizes.columns), default=0)
    require_growth(sizes.rows * largest_bytes, _MAX_BATCHES * allowed_bytes)
    batch_rows = max(1, min(sizes.rows, allowed_bytes // (largest_bytes + 1)))
    file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
    require_growth(_least_bytes(sizes, _are_fixed(file)), allowed_bytes)
    fields = [field for field in file.schema_arrow if wanted is None or wanted(field)]
    if not fields:
        raise ValueError("no column holds text or numbers")
    names = None if wanted is None else [field.name for field in fields]
    # Small columns are read in less time than a thread needs to start.
    batches = file.iter_batches(batch_rows, columns=names, use_threads=False)
    decoded = map(_decode_dictionaries, batches)
    schema = pa.schema([_without_dictionary(field) for field in fields])
    table = pa.Table.from_batches(_within(decoded, sizes.rows, allowed_bytes), schema)
    if len(table) != sizes.rows:
        raise ValueError(f"the file has {pluralize(len(table), 'row')} instead of {sizes.rows}")
    return table


def _without_dictionary(field: pa.Field) -> pa.Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, kind)


def _decode_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with values in place of dictionaries, such as those of pandas' categories."""
    columns = []
    for column in batch.columns:
        column.validate(full=True)
        is_dictionary = pa.types.is_dictionary(column.type)
        columns.append(column.dictionary_decode() if is_dictionary else column)
    schema = pa.schema(list(map(_without_dictionary, batch.schema)))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _are_fixed(file: pq.ParquetFile) -> list[bool]:
    """Return whether the values of each column have a fixed size, at most `_VALUE_BYTES`."""
    columns = map(file.schema.column, range(len(file.schema)))
    return [column.physical_type in _FIXED_TYPES for column in columns]


def _least_bytes(sizes: FileSizes, are_fixed: list[bool]) -> int:
    """Return the minimum number of bytes that reading needs, according to the page headers.

    Args:
        sizes: the declared sizes; the columns of a row group follow those of the one before.
        are_fixed: whether the values of each column have a fixed size.
    """
    if len(sizes.columns) % len(are_fixed):
        raise ValueError("a row group has a wrong number of columns")
    total = 0
    for column, is_fixed in zip(sizes.columns, cycle(are_fixed), strict=False):
        total += column.page_bytes + _VALUE_BYTES * (column.values + sizes.rows)
        # One row may hold all values of a list column, so the batch size does not bound the memory.
        if column.values > sizes.rows and not is_fixed:
            total += column.values * column.dictionary_bytes
    return total


def _within(
    batches: Iterator[pa.RecordBatch], rows: int, allowed_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yield batches; raise ValueError if there are more rows or bytes than allowed."""
    total_bytes = total_rows = 0
    for batch in batches:
        total_bytes += batch.nbytes
        total_rows += len(batch)
        require_growth(total_bytes, allowed_bytes)
        if total_rows > rows:
            raise ValueError(f"the file has more than {pluralize(rows, 'row')}")
        yield batch


def require_growth(size_bytes: int, allowed_bytes: int) -> None:
    """Raise ValueError if a file expands to more bytes than allowed."""
    if size_bytes > allowed_bytes:
        raise ValueError(f"the file expands more than {MAX_GROWTH}-fold")


def _count_nulls(column: pa.ChunkedArray) -> int:
    nested: list[pa.Array] = []
    if pa.types.is_list(column.type):
        nested = [part.flatten() for part in column.chunks]
    elif pa.types.is_struct(column.type):
        nested = [field for part in column.chunks for field in part.flatten()]
    return int(column.null_count) + sum(int(values.null_count) for values in nested)
