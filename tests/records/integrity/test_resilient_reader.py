"""Reading on past damage: every record that is still whole is found, each damage told once."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.format.tfrecord import Frame, FrameError, frame_bytes
from records.integrity.resilient_reader import scan_frames

RECORDS = [b"record %d " % number * (number + 1) for number in range(6)]
FRAMES = list(map(frame_bytes, RECORDS))
STARTS = [sum(map(len, FRAMES[:number])) for number in range(len(FRAMES))]


def scan(content: bytes) -> list[bytes | str]:
    """Payloads, and the kinds of what is damaged between them."""
    return [
        item.kind if isinstance(item, FrameError) else item.payload
        for item in scan_frames(io.BytesIO(content))
    ]


def damaged(*changes: tuple[int, bytes]) -> bytes:
    content = bytearray(b"".join(FRAMES))
    for place, value in changes:
        content[place : place + len(value)] = value
    return bytes(content)


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_resilient_reader_intact_stream_yields_every_record(records: list[bytes]) -> None:
    assert scan(b"".join(map(frame_bytes, records))) == records


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (damaged((STARTS[2] + 12, b"X")), ["payload-checksum"]),
        (damaged((STARTS[2], b"\xff")), ["length-checksum"]),
        (damaged((STARTS[2] + 8, b"\0\0\0\0")), ["length-checksum"]),
    ],
)
def test_resilient_reader_one_damaged_frame_loses_one_record(
    content: bytes, expected: list[str]
) -> None:
    assert scan(content) == [*RECORDS[:2], *expected, *RECORDS[3:]]


def test_resilient_reader_error_has_record_number_and_offset() -> None:
    items = list(scan_frames(io.BytesIO(damaged((STARTS[2], b"\xff")))))
    assert isinstance(items[2], FrameError)
    assert (items[2].record, items[2].offset) == (2, STARTS[2])
    assert isinstance(items[3], Frame)
    assert items[3].offset == STARTS[3]


def test_resilient_reader_removed_bytes_are_one_error() -> None:
    content = damaged()
    for cut in range(1, len(FRAMES[2]) + len(FRAMES[3]) - 4):
        found = scan(content[: STARTS[2] + 5] + content[STARTS[2] + 5 + cut :])
        assert found[:2] == RECORDS[:2]
        assert found[-2:] == RECORDS[-2:]
        assert sum(isinstance(item, str) for item in found) == 1


def test_resilient_reader_inserted_bytes_are_one_error() -> None:
    content = damaged()
    for size in (1, 11, 12, 13, 500):
        for filler in (b"\0", b"\xff"):
            found = scan(content[: STARTS[3]] + filler * size + content[STARTS[3] :])
            assert [item for item in found if isinstance(item, bytes)] == RECORDS
            assert sum(isinstance(item, str) for item in found) == 1


def test_resilient_reader_truncated_file_ends_with_one_error() -> None:
    content = damaged()
    for length in range(STARTS[5] + 1, len(content)):
        assert scan(content[:length]) == [*RECORDS[:5], "truncated"]


def test_resilient_reader_two_separate_damages_are_two_errors() -> None:
    content = damaged((STARTS[1] + 12, b"X"), (STARTS[4], b"\xff"))
    assert scan(content) == [
        RECORDS[0], "payload-checksum", *RECORDS[2:4], "length-checksum", RECORDS[5],
    ]  # fmt: skip


@given(st.integers(0, len(b"".join(FRAMES)) * 8 - 1))
def test_resilient_reader_any_bit_flip_loses_one_record(place: int) -> None:
    content = bytearray(b"".join(FRAMES))
    content[place // 8] ^= 1 << place % 8
    found = scan(bytes(content))
    lost = max(number for number, start in enumerate(STARTS) if start <= place // 8)
    assert [item for item in found if isinstance(item, bytes)] == [
        record for number, record in enumerate(RECORDS) if number != lost
    ]
    assert sum(isinstance(item, str) for item in found) == 1


def test_resilient_reader_damage_longer_than_window_is_one_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("records.integrity.resilient_reader.WINDOW_BYTES", 64)
    for size in range(100, 240):
        content = FRAMES[0] + b"\1" * size + FRAMES[1]
        assert scan(content) == [RECORDS[0], "length-checksum", RECORDS[1]]


@given(st.binary(max_size=400))
def test_resilient_reader_random_bytes_terminate(content: bytes) -> None:
    assert all(isinstance(item, (bytes, str)) for item in scan(content))
