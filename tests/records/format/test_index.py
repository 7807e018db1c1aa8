"""The index: round trip, deterministic bytes, damage."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import CorruptDataError
from records.format.digest import FileDigest
from records.format.index import (
    SCHEMA,
    Index,
    IndexRow,
    Reject,
    ShardSummary,
    encode_index,
    hash_group,
    new_row_table,
    read_index,
    read_index_file,
)
from records.format.shard import FrameLocation
from records.storage import Storage, open_storage

if TYPE_CHECKING:
    from pathlib import Path

FACTS = ShardSummary(
    name="train-00000-of-00001.tfrecord",
    split="train",
    plan_digest="0" * 32,
    records=2,
    bytes=300,
    xxh3_128="f" * 32,
    sha256="e" * 64,
    class_records={0: 1, 7: 1},
    rejects=(Reject("a/é.png", None, "empty", "no bytes", 0),),
)
ROWS = [
    IndexRow(
        "a/1.jpg", 0, 0, 100, 20, 60, "jpeg", 10, 20, 3, 70, "0" * 32, ("exif-rotated", "a→b")
    ),
    IndexRow("b/%FF.png", 7, 100, 200, 120, 160, "png", 11, 21, 1, 160, "1" * 32, ()),
]

EARLIER = b'{"format_version": 1}'


def read(content: bytes, tmp_path: Path) -> Index:
    (tmp_path / "a.parquet").write_bytes(content)
    return read_index(open_storage(tmp_path), "a.parquet")


def test_index_round_trip_returns_shard_info_rows_and_locations(tmp_path: Path) -> None:
    index = read(encode_index(FACTS, new_row_table(ROWS)), tmp_path)
    assert index.summary == FACTS
    assert index.rows() == ROWS
    assert index.rows(1) == ROWS[1:]
    assert index.rows(0, 1) == ROWS[:1]
    assert len(index) == 2
    assert index.location(1) == FrameLocation(100, 200)
    assert [index.find(offset) for offset in (0, 100, 50, 300)] == [0, 1, None, None]


def test_read_index_file_returns_summary_and_digest(tmp_path: Path) -> None:
    content = encode_index(FACTS, new_row_table(ROWS))
    (tmp_path / "a.parquet").write_bytes(content)
    found = read_index_file(open_storage(tmp_path), "a.parquet")
    assert found == (FACTS, FileDigest(len(content), hashlib.sha256(content).hexdigest()))
    assert (found.info.name, found.info.sha256) == (FACTS.name, FACTS.sha256)


def test_index_without_rows_round_trips(tmp_path: Path) -> None:
    assert read(encode_index(FACTS, new_row_table([])), tmp_path).rows() == []


def test_encode_index_same_rows_give_same_bytes() -> None:
    assert encode_index(FACTS, new_row_table(ROWS)) == encode_index(
        FACTS, new_row_table(list(ROWS))
    )


rows = st.builds(
    IndexRow,
    columns=st.just({}),
    labels=st.none(),
    key=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    label=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**62),
    length=st.integers(0, 2**62),
    image_offset=st.integers(0, 2**62),
    stored_bytes=st.integers(0, 2**62),
    format=st.sampled_from(["jpeg", "png", "raw"]),
    width=st.integers(1, 2**31 - 1),
    height=st.integers(1, 2**31 - 1),
    channels=st.sampled_from([1, 3]),
    source_bytes=st.integers(0, 2**62),
    source_xxh3_128=st.text("0123456789abcdef", min_size=32, max_size=32),
    changes=st.lists(st.text("abc→", max_size=5), max_size=3).map(tuple),
    group=st.sampled_from([0, 0, 1, 2**64 - 1]),
)


@given(st.lists(rows, max_size=20))
def test_index_any_rows_round_trip(given_rows: list[IndexRow]) -> None:
    table = pq.read_table(io.BytesIO(encode_index(FACTS, new_row_table(given_rows))))
    assert Index(FACTS, table.cast(SCHEMA)).rows() == given_rows


def test_index_of_groups_round_trips(tmp_path: Path) -> None:
    grouped = [ROWS[0], ROWS[1]._replace(group=hash_group(b"patient 1"))]
    index = read(encode_index(FACTS, new_row_table(grouped)), tmp_path)
    assert index.rows() == grouped
    assert index.summary == FACTS
    assert (hash_group(None), hash_group(b"")) == (0, hash_group(b""))
    assert hash_group(b"") != 0


def as_parquet(table: pa.Table) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content)
    return content.getvalue()


def own_table() -> pa.Table:
    return pq.read_table(io.BytesIO(encode_index(FACTS, new_row_table(ROWS))))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the index is damaged"),
        (b"not Parquet at all", "the index is damaged"),
        (encode_index(FACTS, new_row_table(ROWS))[:-20], "the index is damaged"),
        (as_parquet(pa.table({"a": [1]})), "has no summary of a shard"),
        (as_parquet(own_table().drop_columns(["key"])), "columns of the index are wrong"),
        (
            as_parquet(own_table().set_column(1, "label", pa.array(["x", "y"]))),
            "the index is damaged",
        ),
        (
            as_parquet(own_table().replace_schema_metadata({b"shardmill": b"{}"})),
            "this is not the summary of an index",
        ),
        (
            as_parquet(
                own_table().replace_schema_metadata({b"shardmill": b'{"format_version":1}'})
            ),
            "the summary of an index of an earlier version",
        ),
    ],
)
def test_read_index_damaged_file_raises_corrupt_data(
    content: bytes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(CorruptDataError, match=told) as found:
        read(content, tmp_path)
    assert found.value.path == str(tmp_path / "a.parquet")


def test_read_index_bit_flip_never_changes_a_value(tmp_path: Path) -> None:
    """Pages carry checksums: a bit that changes a value cannot pass."""
    content = encode_index(FACTS, new_row_table(ROWS))
    storage: Storage = open_storage(tmp_path)
    first_page = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    start = first_page.data_page_offset
    changed = 0
    for place in range(start, start + first_page.total_compressed_size):
        damaged = bytearray(content)
        damaged[place] ^= 4
        (tmp_path / "a.parquet").write_bytes(damaged)
        try:
            changed += read_index(storage, "a.parquet").rows() != ROWS
        except CorruptDataError:
            continue
    assert changed == 0
