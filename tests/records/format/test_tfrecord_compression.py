"""GZIP and ZLIB TFRecord files: equal records, damage, zip bombs."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING

import pytest

from records.errors import CorruptDataError
from records.format.tfrecord import frame_bytes, read_frames
from records.format.tfrecord_compression import compression_of, open_tfrecord

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = [b"first", b"", bytes(range(256)) * 500]
PLAIN = b"".join(map(frame_bytes, RECORDS))


def payloads(content: bytes) -> list[bytes]:
    return [frame.payload for frame in read_frames(open_tfrecord(io.BytesIO(content)))]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PLAIN, None),
        (gzip.compress(PLAIN), "gzip"),
        (zlib.compress(PLAIN, 1), "zlib"),
        (zlib.compress(PLAIN, 9), "zlib"),
        (gzip.compress(PLAIN[:21]) + gzip.compress(PLAIN[21:]), "gzip"),
        (b"", None),
        (b"x", None),
    ],
)
def test_open_tfrecord_detects_compression_and_reads_records(
    content: bytes, expected: str | None
) -> None:
    assert compression_of(content[:12]) == expected
    if len(content) > 1:
        assert payloads(content) == RECORDS


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB"])
def test_open_tfrecord_file_compressed_by_tensorflow_is_read(kind: str, tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path), options=kind) as writer:
        for record in RECORDS:
            writer.write(record)
    assert payloads(path.read_bytes()) == RECORDS


def test_open_tfrecord_plain_length_like_gzip_magic_is_plain() -> None:
    record = bytes(0x8B1F)  # its length begins with GZIP's magic
    content = frame_bytes(record)
    assert content.startswith(b"\x1f\x8b")
    assert payloads(content) == [record]


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_open_tfrecord_damaged_compressed_data_raises_corrupt_data(compress: object) -> None:
    content = compress(PLAIN)  # type: ignore[operator]
    with pytest.raises(CorruptDataError, match="is truncated"):
        payloads(content[:-3])
    with pytest.raises(CorruptDataError, match="compressed data is damaged"):
        payloads(content[:-1] + bytes([content[-1] ^ 1]))


def test_open_tfrecord_decompression_bomb_raises_corrupt_data() -> None:
    stream = open_tfrecord(io.BytesIO(gzip.compress(bytes(64 << 20))))
    with pytest.raises(CorruptDataError, match="expands more than 1000-fold"):
        stream.read()
