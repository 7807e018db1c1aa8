"""Framing: golden bytes, round trips, every truncation, every flipped bit, TensorFlow's reader."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.format.tfrecord import (
    MAX_RECORD_BYTES,
    Frame,
    FrameError,
    frame_bytes,
    frame_size_bytes,
    is_frame_header,
    masked_crc32c,
    payload_length,
    read_frames,
)

# python -c "import tensorflow as tf
# with tf.io.TFRecordWriter('a') as w: w.write(b'shardmill')
# print(open('a', 'rb').read().hex())"
GOLDEN = bytes.fromhex("090000000000000037f9713973686172646d696c6c0d30dd73")

payloads = st.lists(st.binary(max_size=300), max_size=8)


def read_all(content: bytes) -> list[Frame]:
    return list(read_frames(io.BytesIO(content)))


def test_frame_bytes_equals_golden_bytes() -> None:
    assert frame_bytes(b"shardmill") == GOLDEN


def test_masked_crc32c_matches_rfc_3720_vectors() -> None:
    # RFC 3720, B.4: CRC32C of 32 bytes of zeros is 8a9136aa, of 32 bytes of ones 62a8ab43.
    def unmask(masked: int) -> int:
        rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
        return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF

    assert unmask(masked_crc32c(bytes(32))) == 0x8A9136AA
    assert unmask(masked_crc32c(b"\xff" * 32)) == 0x62A8AB43


@given(payloads)
def test_read_frames_written_records_return_payloads_and_offsets(records: list[bytes]) -> None:
    content = b"".join(map(frame_bytes, records))
    frames = read_all(content)
    assert [frame.payload for frame in frames] == records
    ends = [frame.offset + frame_size_bytes(len(frame.payload)) for frame in frames]
    assert [0, *ends][:-1] == [frame.offset for frame in frames] or not frames
    assert len(content) == (ends[-1] if ends else 0)


@pytest.mark.slow
@given(payloads)
def test_frame_bytes_any_records_are_read_by_tensorflow(records: list[bytes]) -> None:
    import tempfile

    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tfrecord")
        path.write_bytes(b"".join(map(frame_bytes, records)))
        read = [item.numpy() for item in tf.data.TFRecordDataset(str(path))]
    assert read == records


@given(payloads)
def test_frame_bytes_any_records_equal_tensorflow_bytes(records: list[bytes]) -> None:
    import tempfile

    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tfrecord")
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        assert path.read_bytes() == b"".join(map(frame_bytes, records))


def test_read_frames_truncated_at_any_length_raises_frame_error() -> None:
    records = [b"", b"a", b"some bytes", bytes(40)]
    content = b"".join(map(frame_bytes, records))
    starts = {frame.offset for frame in read_all(content)} | {len(content)}
    for length in range(len(content)):
        if length in starts:  # complete records are missing: only the count differs
            assert len(read_all(content[:length])) < len(records)
            continue
        with pytest.raises(FrameError) as found:
            read_all(content[:length])
        assert found.value.kind == "truncated"
        assert found.value.offset == max(start for start in starts if start <= length)


def test_read_frames_any_bit_flip_raises_frame_error() -> None:
    content = bytearray(b"".join(map(frame_bytes, [b"", b"a", b"some bytes"])))
    for place in range(len(content) * 8):
        content[place // 8] ^= 1 << place % 8
        with pytest.raises(FrameError):
            read_all(bytes(content))
        content[place // 8] ^= 1 << place % 8


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (0, "length-checksum"),
        (8, "length-checksum"),
        (12, "payload-checksum"),
        (-1, "payload-checksum"),
    ],
)
def test_read_frames_changed_byte_raises_frame_error_with_kind(place: int, kind: str) -> None:
    content = bytearray(frame_bytes(b"first") + frame_bytes(b"second"))
    start = len(frame_bytes(b"first"))
    content[place if place < 0 else start + place] ^= 1
    with pytest.raises(FrameError) as found:
        read_all(bytes(content))
    assert (found.value.kind, found.value.record, found.value.offset) == (kind, 1, start)


def test_payload_length_over_limit_raises_too_long() -> None:
    length = (MAX_RECORD_BYTES + 1).to_bytes(8, "little")
    header = length + masked_crc32c(length).to_bytes(4, "little")
    with pytest.raises(FrameError, match="a record is too long") as found:
        payload_length(header)
    assert found.value.kind == "too-long"


def test_read_frames_length_beyond_file_allocates_little_memory() -> None:
    import tracemalloc

    length = (MAX_RECORD_BYTES).to_bytes(8, "little")
    header = length + masked_crc32c(length).to_bytes(4, "little")
    tracemalloc.start()
    with pytest.raises(FrameError, match="ends inside a record"):
        read_all(header + b"a few bytes")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


def test_is_frame_header_accepts_only_valid_length_checksum() -> None:
    assert is_frame_header(GOLDEN[:12])
    assert is_frame_header(GOLDEN)
    assert not is_frame_header(GOLDEN[:11])
    assert not is_frame_header(bytes(12))
