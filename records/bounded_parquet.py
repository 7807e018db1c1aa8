"""Parquet files that anybody may have written, read within a bound on memory.

A page of a few bytes may stand for any number of equal values, and a dictionary for long strings
many times over. So what the pages claim is weighed before one is read, and strings are read as
dictionaries, whose values are counted before they are spread out.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from records.parquet_pages import claimed_bytes

_MAX_GROWTH = 1000
_GROWTH_ALLOWED_BYTES = 16 << 20


def read_bounded(content: bytes, schema: pa.Schema) -> pa.Table:
    """All rows of a Parquet file, as `schema` has them.

    Args:
        content: the whole file.
        schema: its columns: numbers, strings, and lists of strings.

    Raises:
        pa.ArrowException, OSError, ValueError: it is no Parquet file, is damaged, has values of
            other types or nulls, or grows more than a thousandfold.
    """
    allowed_bytes = max(_GROWTH_ALLOWED_BYTES, _MAX_GROWTH * len(content))
    _require(claimed_bytes(content) <= allowed_bytes, "it grows more than a thousandfold")
    metadata = pq.read_metadata(io.BytesIO(content))
    file = pq.ParquetFile(
        io.BytesIO(content),
        metadata=metadata,
        read_dictionary=_strings(metadata),
        page_checksum_verification=True,
    )
    table = file.read()
    table.validate(full=True)
    _require(_spread_bytes(table) <= allowed_bytes, "it grows more than a thousandfold")
    table = table.replace_schema_metadata(None).cast(schema)
    _require(not any(map(_count_nulls, table.columns)), "a value is missing")
    return table


def _strings(metadata: pq.FileMetaData) -> list[str]:
    columns = [metadata.schema.column(number) for number in range(metadata.num_columns)]
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _spread_bytes(table: pa.Table) -> int:
    """What the strings take once each stands by itself."""
    total = 0
    for column in table.columns:
        for chunk in column.chunks:
            values = chunk.flatten() if _is_list(chunk.type) else chunk
            if pa.types.is_dictionary(values.type):
                lengths = pc.binary_length(values.dictionary)
                total += pc.sum(lengths.take(values.indices)).as_py() or 0
    return total


def _count_nulls(column: pa.ChunkedArray) -> int:
    parts: Sequence[pa.Array] = column.chunks if _is_list(column.type) else ()
    inside = sum(int(part.flatten().null_count) for part in parts)
    return int(column.null_count) + inside


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind))


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)
