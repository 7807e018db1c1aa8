"""Hostile Parquet files, refused by their page headers before reading."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from records.untrusted_parquet import InvalidParquetError, read_untrusted
from records.untrusted_parquet.page_sizes import read_page_sizes

MB = 1 << 20
TEXT = pa.schema({"text": pa.string()})
LISTS = pa.schema({"text": pa.list_(pa.string())})


def parquet(values: pa.Array, **options: Any) -> bytes:
    content = io.BytesIO()
    settings = {"compression": "zstd", "write_statistics": False, **options}
    pq.write_table(pa.table({"text": values}), content, **settings)
    return content.getvalue()


def repeated(text: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), rows)


def long_and_short(long_bytes: int, rows: int) -> pa.Array:
    """Return one long string and many short ones, which share a dictionary."""
    return pa.array(["k" * long_bytes, *["a"] * (rows - 1)])


def one_list(length: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, length], pa.int32()), repeated("a", length))


def varint(number: int, size: int = 0) -> bytes:
    """Return a Thrift integer, padded to `size` bytes."""
    number <<= 1
    encoded = b""
    while number > 127 or len(encoded) + 1 < size:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def falsify(content: bytes, field: str, value: int) -> bytes:
    """Declare another value of a field of the column in the footer."""
    column = pq.read_metadata(io.BytesIO(content)).row_group(0).column(0)
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    true = varint(getattr(column, field))
    changed = content[:footer] + content[footer:].replace(true, varint(value, len(true)))
    column = pq.read_metadata(io.BytesIO(changed)).row_group(0).column(0)
    assert getattr(column, field) == value
    return changed


def test_read_untrusted_own_file_returns_rows() -> None:
    values = pa.array([f"key {number}" for number in range(5000)])
    assert read_untrusted(parquet(values), TEXT)["text"].combine_chunks() == values


@pytest.mark.parametrize("nullable", [(), ("text",), ("other",)])
def test_read_untrusted_nulls_need_a_nullable_column(nullable: tuple[str, ...]) -> None:
    values = pa.table({"other": pa.array(["a", "b"]), "text": pa.array([None, "c"])})
    content = io.BytesIO()
    pq.write_table(values, content)
    if nullable == ("text",):
        found = read_untrusted(content.getvalue(), values.schema, nullable=nullable)
        assert found["text"].to_pylist() == [None, "c"]
        return
    with pytest.raises(InvalidParquetError, match="null values"):
        read_untrusted(content.getvalue(), values.schema, nullable=nullable)


def test_read_untrusted_declares_pages_of_every_version() -> None:
    values = repeated("ab", 1000)
    for version in ("1.0", "2.0"):
        (column,) = read_page_sizes(parquet(values, data_page_version=version)).columns
        assert (column.values, column.dictionary_bytes) == (1000, 6)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            falsify(
                parquet(repeated("\0" * (32 * MB), 1), use_dictionary=False),
                "total_uncompressed_size",
                1000,
            ),
            id="compressed zeros that the footer does not declare",
        ),
        pytest.param(
            falsify(parquet(one_list(3 * MB)), "num_values", 1),
            id="values of one list that the footer does not declare",
        ),
        pytest.param(parquet(repeated("k" * MB, 40)), id="a long string in a dictionary"),
        pytest.param(
            parquet(long_and_short(6 * MB, 100_000), dictionary_pagesize_limit=1 << 30),
            id="a batch for every two rows",
        ),
    ],
)
def test_read_untrusted_expanding_file_is_refused(content: bytes) -> None:
    assert len(content) < 20_000
    with pytest.raises(InvalidParquetError, match="expands more than"):
        read_untrusted(content, TEXT)


def test_read_untrusted_string_repeated_by_delta_encoding_is_refused() -> None:
    content = parquet(
        repeated("k" * 200_000, 400),
        use_dictionary=False,
        column_encoding={"text": "DELTA_BYTE_ARRAY"},
    )
    with pytest.raises(InvalidParquetError, match="encoding"):
        read_untrusted(content, TEXT)


def test_read_untrusted_pages_past_the_end_of_a_column_are_refused() -> None:
    """For old writers PyArrow reads 100 bytes more than the footer declares."""
    content = falsify(parquet(one_list(1000)), "total_compressed_size", 1)
    version = f"parquet-cpp-arrow version {pa.__version__}".encode()
    assert version in content
    content = content.replace(version, b"parquet-mr version 1.2.8".ljust(len(version)))
    with pytest.raises(InvalidParquetError, match="parquet-mr"):
        read_untrusted(content, LISTS)


def footer_alone(fields: bytes) -> bytes:
    """Return a file of one row and no row groups, with more fields in its footer."""
    footer = b"\x36\x02\x19\x0c" + fields + b"\0"
    return footer + len(footer).to_bytes(4, "little") + b"PAR1"


def test_read_page_sizes_footer_alone() -> None:
    assert read_page_sizes(footer_alone(b"")) == (1, [], 0)
    assert read_page_sizes(footer_alone(b"\x06" + varint(99) + b"\x02")) == (1, [], 0)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"\x06" + varint(3) + b"\x02", id="a field twice"),
        pytest.param(b"\x06" + varint((1 << 16) + 3) + b"\x02", id="a field number of 17 bits"),
        pytest.param(b"\x15" + varint(1 << 32), id="an int32 of 33 bits"),
        pytest.param(b"\x16" + b"\xff" * 10 + b"\x01", id="an integer without end"),
        pytest.param(b"\x1b\x00", id="a map"),
    ],
)
def test_read_page_sizes_ambiguous_footer_is_refused(fields: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        read_page_sizes(footer_alone(fields))
