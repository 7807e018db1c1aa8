"""Records whose image is cut out of the frame at the offset in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from records.dataset import open_dataset
from records.dataset.indexed_records import IndexedRecords
from records.format.index import (
    Index,
    IndexRow,
    ShardSummary,
    encode_index,
    new_row_table,
    read_index,
)
from records.format.layout import index_name
from records.format.shard import ShardReader
from records.format.tfrecord import HEADER_BYTES, frame_bytes
from records.images import NormalizedImage
from records.images.features import encode_image_example
from records.storage import open_storage
from tests.datasets import LABELS, replace_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHARD = "test-00000-of-00001.tfrecord"
# Sizes near those at which a length takes one byte more.
SIZES = st.one_of(
    st.integers(0, 300),
    st.sampled_from([1 << 7, 1 << 14, 1 << 21]).flatmap(
        lambda size: st.integers(size - 60, size + 10)
    ),
)
FACTS = ShardSummary("a", "train", "0" * 32, 1, 1, "", "", {})
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=150)


def row_of(
    frame: bytes, image_offset: int, key: str, label: int, image: NormalizedImage
) -> IndexRow:
    return IndexRow(
        key=key,
        label=label,
        offset=0,
        length=len(frame),
        image_offset=image_offset,
        stored_bytes=len(image.encoded),
        format=image.format,
        width=image.width,
        height=image.height,
        channels=image.channels,
        source_bytes=1,
        source_xxh3_128="",
        changes=(),
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size_bytes=SIZES,
    label=st.integers(0, 300),
    text=TEXTS,
    key=TEXTS.map(lambda text: text.replace("\\", "")),
    channels=st.sampled_from([1, 3]),
)
def test_indexed_record_has_the_image_at_its_offset(
    tmp_path: Path, *, size_bytes: int, label: int, text: str, key: str, channels: int
) -> None:
    image = NormalizedImage(b"i" * size_bytes, "png", 2, 3, channels, ())
    example = encode_image_example(image, key=key.encode(), labels=(label,), class_names=(text,))
    frame = frame_bytes(example.payload)
    image_offset = HEADER_BYTES + example.image_offset
    rows = new_row_table([row_of(frame, image_offset, key, label, image)])
    indexed = IndexedRecords(Index(FACTS, rows.compact()), ("",) * label + (text,))
    storage = open_storage(tmp_path)
    (tmp_path / "shard").write_bytes(frame)
    record = indexed.read(0, ShardReader(storage.open_random_access("shard")))
    assert record is not None
    assert record.image == image.encoded
    assert (record.label, record.class_name, record.key) == (label, text, key)
    assert (record.format, record.width, record.height) == ("png", 2, 3)
    assert record.channels == channels


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("label", -1),
        ("label", 2),
        ("label", len(LABELS)),
        ("label", 1 << 20),
        ("stored_bytes", -1),
        ("stored_bytes", 0),
        ("stored_bytes", 1 << 40),
        ("channels", 1 << 6),
        ("image_offset", -1),
        ("image_offset", 0),
        ("image_offset", 1 << 40),
    ],
)
def test_indexed_record_contradicting_index_falls_back_to_decoding(
    build_dataset: Callable[..., Path], field: str, value: int
) -> None:
    folder = build_dataset()
    expected = open_dataset(folder)["test"][0]
    change_first_row(folder, **{field: value})
    assert open_dataset(folder)["test"][0] == expected


def test_indexed_record_wrong_image_size_falls_back_to_decoding(
    build_dataset: Callable[..., Path],
) -> None:
    folder = build_dataset()
    expected = open_dataset(folder)["test"][0]
    for more in (-1, 1):
        change_first_row(folder, stored_bytes=len(expected.image) + more)
        assert open_dataset(folder)["test"][0] == expected


def change_first_row(folder: Path, **changes: int) -> None:
    index = read_index(open_storage(folder), index_name(SHARD))
    first, *others = index.rows()
    rows = new_row_table([first._replace(**changes), *others])  # type: ignore[arg-type]
    replace_index(folder, SHARD, encode_index(index.summary, rows))
