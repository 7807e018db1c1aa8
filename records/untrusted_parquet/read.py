"""Parquet files that anybody may have written, read within a bound on memory.

A page of a few bytes may stand for any number of equal values, and a dictionary for long strings
many times over. So what the pages claim is weighed before one is read, and rows are read in batches
so small that no dictionary can spread them beyond the bound.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from records.untrusted_parquet.page_sizes import DeclaredSizes, read_declared_sizes

_MAX_GROWTH = 1000
_GROWTH_ALLOWED_BYTES = 16 << 20
# A number, or where a string lies and to which row it belongs.
_VALUE_BYTES = 16


def read_parquet_limited(content: bytes, schema: pa.Schema) -> pa.Table:
    """All rows of a Parquet file, as `schema` has them.

    Args:
        content: the whole file.
        schema: its columns: numbers, strings, and lists of strings.

    Raises:
        pa.ArrowException, OSError, ValueError: it is no Parquet file, is damaged, has values of
            other types or nulls, or grows more than a thousandfold.
    """
    allowed_bytes = max(_GROWTH_ALLOWED_BYTES, _MAX_GROWTH * len(content))
    claims = read_declared_sizes(content)
    _require_growth(_claimed_bytes(claims), allowed_bytes)
    largest_bytes = max((column.dictionary_bytes for column in claims.columns), default=0)
    file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
    batch_rows = max(1, min(claims.rows, allowed_bytes // (largest_bytes + 1)))
    # Columns as small as these are read before a thread has started.
    batches = file.iter_batches(batch_rows, use_threads=False)
    table = pa.Table.from_batches(_within(batches, allowed_bytes), file.schema_arrow)
    if len(table) != claims.rows:
        raise ValueError(f"it has {len(table)} rows and not {claims.rows}")
    table.validate(full=True)
    table = table.replace_schema_metadata(None).cast(schema)
    if any(map(_count_nulls, table.columns)):
        raise ValueError("a value is missing")
    return table


def _claimed_bytes(claims: DeclaredSizes) -> int:
    """The most that is known to be needed before anything is read."""
    total = 0
    for column in claims.columns:
        total += column.unpacked_bytes + _VALUE_BYTES * (column.values + claims.rows)
        # Of lists one row may hold all values, so that batches of rows are no bound.
        if column.values > claims.rows:
            total += column.values * column.dictionary_bytes
    return total


def _within(batches: Iterator[pa.RecordBatch], allowed_bytes: int) -> Iterator[pa.RecordBatch]:
    total_bytes = 0
    for batch in batches:
        total_bytes += batch.nbytes
        _require_growth(total_bytes, allowed_bytes)
        yield batch


def _require_growth(size_bytes: int, allowed_bytes: int) -> None:
    if size_bytes > allowed_bytes:
        raise ValueError(f"it grows more than {_MAX_GROWTH}-fold")


def _count_nulls(column: pa.ChunkedArray) -> int:
    is_list = pa.types.is_list(column.type)
    parts: Sequence[pa.Array] = column.chunks if is_list else ()
    inside = sum(int(part.flatten().null_count) for part in parts)
    return int(column.null_count) + inside
