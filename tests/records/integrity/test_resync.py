"""Whole records are found wherever they lie, and nothing else is; nested lengths cost nothing."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records.format.index import IndexRow, ShardSummary, encode_index, new_row_table, read_index
from records.format.tfrecord import Frame, FrameError, frame_bytes, masked_crc32c
from records.integrity.resilient_reader import scan_frames
from records.integrity.resync import find_headers, find_records, mask, shift
from records.storage import open_storage, write_file

if TYPE_CHECKING:
    from pathlib import Path


def header(length: int) -> bytes:
    content = struct.pack("<Q", length)
    return content + struct.pack("<I", masked_crc32c(content))


@settings(max_examples=30)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_shifted_crc_of_any_range_equals_direct_checksum(before: bytes, content: bytes) -> None:
    whole, first = google_crc32c.value(before + content), google_crc32c.value(before)
    shifted = shift(np.array([first], np.uint32), np.array([len(content)]))
    assert mask(np.array([whole], np.uint32) ^ shifted) == masked_crc32c(content)


@pytest.mark.parametrize("length", [0, 1, 255, 4096, 1_000_003])
def test_crc_shift_equals_appending_zeros(length: int) -> None:
    first = google_crc32c.value(b"first")
    shifted = int(shift(np.array([first], np.uint32), np.array([length]))[0])
    zeros = bytes(length)
    assert shifted ^ google_crc32c.value(zeros) == google_crc32c.extend(first, zeros)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1 << 30), max_size=5), st.binary(max_size=20))
def test_find_headers_returns_every_valid_header(lengths: list[int], filler: bytes) -> None:
    content = b"".join(filler + header(length) for length in lengths)
    places, found = find_headers(content)
    pairs = list(zip(places.tolist(), found.tolist(), strict=True))
    for number, length in enumerate(lengths):
        assert ((number + 1) * len(filler) + number * 12, length) in pairs
    assert all(content[place : place + 12] == header(length) for place, length in pairs)


def test_find_headers_impossible_length_is_ignored() -> None:
    for length in ((1 << 30) + 1, 1 << 32, 1 << 63, 2**64 - 1):
        assert find_headers(header(length))[0].size == 0
    assert find_headers(bytes(1000))[0].size == 0


def test_find_records_returns_only_intact_records() -> None:
    whole = frame_bytes(b"whole")
    broken = whole[:-1] + bytes([whole[-1] ^ 1])
    content = b"x" + broken + whole + header(1 << 20) + whole
    found = find_records(io.BytesIO(content), 0, 1000)
    assert found.records.tolist() == [1 + len(broken), len(content) - len(whole)]
    assert found.file_end == len(content)
    assert found.rules_out(1)
    assert not found.rules_out(1 + len(broken))
    assert found.first_record(2) == 1 + len(broken)


def test_resilient_reader_nested_lengths_read_in_linear_time() -> None:
    """As many lengths as fit, each to near the end: reading each anew would take 10 GB."""

    class Counting(io.BytesIO):
        read_bytes = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.read_bytes += len(data)
            return data

    size = 1 << 19
    nested = b"".join(header(size - 12 * number - 40) for number in range(size // 12 - 8))
    stream = Counting(b"x" + nested + frame_bytes(b"last"))
    items = list(scan_frames(stream))
    assert [item.payload for item in items if isinstance(item, Frame)] == [b"last"]
    assert stream.read_bytes < 20 * size


def test_resilient_reader_zeroed_range_is_one_error() -> None:
    frames = [frame_bytes(bytes([number]) * 100) for number in range(4)]
    content = frames[0] + bytes(8 << 20) + frames[3]
    items = list(scan_frames(io.BytesIO(content)))
    assert [type(item) for item in items] == [Frame, FrameError, Frame]


def test_resilient_reader_record_inside_a_payload_is_rejected_by_index(tmp_path: Path) -> None:
    """A record in a record: an image may have anything behind its end."""
    inner = frame_bytes(b"not of this dataset")
    frames = [frame_bytes(b"first"), frame_bytes(b"picture" + inner), frame_bytes(b"last")]
    offsets = [0, len(frames[0]), len(frames[0]) + len(frames[1])]
    facts = ShardSummary("s", "train", "", 3, sum(map(len, frames)), "", "", {0: 3})
    rows = [
        IndexRow(str(number), 0, offset, len(frame), offset, 1, "png", 1, 1, 1, 1, "", ())
        for number, (offset, frame) in enumerate(zip(offsets, frames, strict=True))
    ]
    storage = open_storage(tmp_path)
    write_file(storage, "s.parquet", encode_index(facts, new_row_table(rows)))
    index = read_index(storage, "s.parquet")
    content = bytearray(b"".join(frames))
    content[offsets[1]] ^= 1
    with_index = [
        i.payload for i in scan_frames(io.BytesIO(content), index) if isinstance(i, Frame)
    ]
    without = [i.payload for i in scan_frames(io.BytesIO(content)) if isinstance(i, Frame)]
    assert with_index == [b"first", b"last"]
    assert without == [b"first", b"not of this dataset", b"last"]
