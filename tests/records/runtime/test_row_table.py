"""Row tables: order, sorting, memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from records.runtime.row_table import RowTable, from_numbers, iter_rows


class Item(msgspec.Struct, frozen=True):
    key: bytes
    number: int
    note: str | None = None


SCHEMA = pa.schema({"key": pa.large_binary(), "number": pa.int64(), "note": pa.string()})


def pack(items: list[Item]) -> RowTable[Item]:
    return RowTable(Item, SCHEMA, items)


def items(count: int) -> list[Item]:
    return [Item(b"%07d" % (n * 7919 % count), n, "odd" if n % 2 else None) for n in range(count)]


# Around the number of rows in a batch.
@pytest.mark.parametrize("count", [0, 1, 8191, 8192, 8193, 20_000])
def test_row_table_iteration_returns_rows_in_order(count: int) -> None:
    rows = pack(items(count))
    assert len(rows) == count
    assert list(rows) == list(rows) == items(count)


def test_row_table_append_after_iteration_is_included() -> None:
    rows = pack(items(3))
    assert len(list(rows)) == 3
    rows.append(Item(b"x", 9))
    assert list(rows) == [*items(3), Item(b"x", 9)]


@pytest.mark.parametrize("count", [0, 1, 8192, 20_000])
@pytest.mark.parametrize("kind", [list, tuple, pa.array])
def test_row_table_append_columns_is_append_of_rows(count: int, kind: Any) -> None:
    given = [Item(item.key, item.number) for item in items(count)]
    rows = pack(items(3))
    key, number = kind([item.key for item in given]), kind([item.number for item in given])
    if kind is pa.array:
        key, number = key.cast(pa.large_binary()), number.cast(pa.int64())
    rows.append_columns(number=number, key=key)
    rows.append(Item(b"x", 9))
    assert len(rows) == count + 4
    assert list(rows) == [*items(3), *given, Item(b"x", 9)]


def test_row_table_append_columns_some_nulls_round_trip() -> None:
    rows = pack([])
    rows.append_columns(key=[b"a", b"b"], number=[1, 2], note=["first", None])
    rows.append_columns(
        key=[b"c"], number=pa.array([3], pa.int64()), note=pa.array([None], pa.string())
    )
    assert list(rows) == [Item(b"a", 1, "first"), Item(b"b", 2), Item(b"c", 3)]


def test_row_table_dictionary_column_round_trips() -> None:
    schema = SCHEMA.set(2, pa.field("note", pa.dictionary(pa.int32(), pa.string())))
    assert list(RowTable(Item, schema, items(20_000))) == items(20_000)


def test_row_table_consume_yields_every_row_and_empties_table() -> None:
    rows = pack(items(20_000))
    found = pa.Table.from_batches(rows.consume(), SCHEMA)
    assert [Item(*row) for row in iter_rows(found, *found.column_names)] == items(20_000)
    assert (len(rows), list(rows)) == (0, [])


@pytest.mark.parametrize("count", [0, 5, 20_000])
def test_row_table_sort_orders_by_key_bytes_in_place(count: int) -> None:
    rows = pack(items(count))
    table = rows.sort("key")
    expected = sorted(items(count), key=lambda item: item.key)
    assert list(rows) == expected
    assert [Item(*row) for row in iter_rows(table, *table.column_names)] == expected


@pytest.mark.parametrize("count", [0, 1, 5, 20_000])
def test_row_table_sort_is_stable_for_sorted_rows(count: int) -> None:
    given = [Item(b"%07d" % (n // 2), n, "odd" if n % 2 else None) for n in range(count)]
    rows = pack(given)
    table = rows.sort("key")
    assert [Item(*row) for row in iter_rows(table, *table.column_names)] == list(rows) == given


@pytest.mark.parametrize("count", [0, 5, 20_000])
def test_row_table_compact_columns_have_one_chunk(count: int) -> None:
    rows = pack(items(count))
    table = rows.compact()
    assert [Item(*row) for row in iter_rows(table, *table.column_names)] == list(rows)
    assert list(rows) == items(count)
    assert all(column.num_chunks <= 1 for column in table.columns)


def test_row_table_sort_non_utf8_keys_by_byte_value() -> None:
    keys = [b"\xff", b"", b"a\x00", b"a", b"\x80"]
    rows = pack([Item(key, 0) for key in keys])
    rows.sort("key")
    assert [item.key for item in rows] == sorted(keys)


def test_row_table_column_of_nulls_in_some_or_all_batches_round_trips() -> None:
    some = [Item(b"%05d" % n, n, "last" if n == 9000 else None) for n in range(10_000)]
    none = [Item(b"%05d" % n, n) for n in range(10_000)]
    for given in (some, none):
        rows = pack(given)
        rows.sort("key")
        assert list(rows) == given


def test_row_table_100000_rows_use_under_60_bytes_per_row() -> None:
    tracemalloc.start()
    rows = pack([])
    for number in range(100_000):
        rows.append(Item(b"class/%08d.jpg" % number, number))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100_000 * 60
    assert len(rows) == 100_000


def test_iter_rows_selected_columns_yields_tuples() -> None:
    table = pack(items(3)).sort("key")
    assert list(iter_rows(table, "number")) == [(0,), (2,), (1,)]
    assert list(iter_rows(table, "number", "key"))[1] == (2, b"0000001")


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.intp, np.float32])
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_from_numbers_equals_pyarrow_array(kind: type[np.generic], count: int) -> None:
    numbers = np.arange(2 * count).astype(kind)
    for values in (numbers, numbers[::2], numbers[::-1]):
        found = from_numbers(values)
        found.validate(full=True)
        assert found.equals(pa.array(values))
