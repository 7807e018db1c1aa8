"""Reader of untrusted Parquet files, with limits on memory and time.

A page of a few bytes may hold any number of equal values, and a dictionary may repeat a long string
for every row. So the sizes in page headers are checked before a page is read, and rows are read in
batches that are so small that no dictionary can expand a batch beyond the limit.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from records.text.formatting import pluralize
from records.untrusted_parquet.page_sizes import FileSizes, read_page_sizes

_MAX_GROWTH = 1000
_GROWTH_ALLOWED_BYTES = 16 << 20
_MAX_BATCHES = 1000
# The size of a number, or of the position and the row of a string.
_VALUE_BYTES = 16


class InvalidParquetError(ValueError):
    """A file is not Parquet, is damaged, has unexpected values, or expands too much."""


def read_untrusted(content: bytes, schema: pa.Schema) -> pa.Table:
    """Return all rows of a Parquet file.

    Args:
        content: the content of the file.
        schema: the schema of the result: numbers, strings, and lists of strings, all without nulls.

    Raises:
        InvalidParquetError: `content` is damaged, does not match `schema`, or expands too much.
    """
    try:
        return _read(content, schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidParquetError(str(error)) from error


def _read(content: bytes, schema: pa.Schema) -> pa.Table:
    allowed_bytes = max(_GROWTH_ALLOWED_BYTES, _MAX_GROWTH * len(content))
    sizes = read_page_sizes(content)
    _require_growth(_least_bytes(sizes), allowed_bytes)
    largest_bytes = max((column.dictionary_bytes for column in sizes.columns), default=0)
    _require_growth(sizes.rows * largest_bytes, _MAX_BATCHES * allowed_bytes)
    batch_rows = max(1, min(sizes.rows, allowed_bytes // (largest_bytes + 1)))
    file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
    # Small columns are read in less time than a thread needs to start.
    batches = file.iter_batches(batch_rows, use_threads=False)
    table = pa.Table.from_batches(_within(batches, sizes.rows, allowed_bytes), file.schema_arrow)
    if len(table) != sizes.rows:
        raise ValueError(f"the file has {pluralize(len(table), 'row')} instead of {sizes.rows}")
    table.validate(full=True)
    table = table.replace_schema_metadata(None).cast(schema)
    if any(map(_count_nulls, table.columns)):
        raise ValueError("a column contains null values")
    return table


def _least_bytes(sizes: FileSizes) -> int:
    """Return the minimum number of bytes that reading needs, according to the page headers."""
    total = 0
    for column in sizes.columns:
        total += column.page_bytes + _VALUE_BYTES * (column.values + sizes.rows)
        # One row may hold all values of a list column, so the batch size does not bound the memory.
        if column.values > sizes.rows:
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
        _require_growth(total_bytes, allowed_bytes)
        if total_rows > rows:
            raise ValueError(f"the file has more than {pluralize(rows, 'row')}")
        yield batch


def _require_growth(size_bytes: int, allowed_bytes: int) -> None:
    if size_bytes > allowed_bytes:
        raise ValueError(f"the file expands more than {_MAX_GROWTH}-fold")


def _count_nulls(column: pa.ChunkedArray) -> int:
    lists = column.chunks if pa.types.is_list(column.type) else []
    return int(column.null_count) + sum(int(part.flatten().null_count) for part in lists)
