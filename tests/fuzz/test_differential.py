"""Differential tests of the reader against TensorFlow's and Beam's.

All three read the same files, intact and damaged. They return the same records before the damage,
and then raise an error.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from records.errors import CorruptDataError
from records.format.example import decode_example
from records.format.tfrecord import HEADER_BYTES, FrameError, frame_bytes, read_frames
from tests.fuzz.mutations import Edit, apply, edits, reseal
from tests.fuzz.targets import TARGETS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
FEW = settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


# TensorFlow allocates any length whose checksum is valid; a huge one aborts the process.
_MOST_BYTES = 1 << 24


class Read(NamedTuple):
    """The records a reader gave, and whether it refused what came then."""

    records: list[bytes]
    refused: bool


def read_ours(data: bytes) -> Read:
    records: list[bytes] = []
    try:
        records.extend(frame.payload for frame in read_frames(io.BytesIO(data)))
    except FrameError:
        return Read(records, refused=True)
    return Read(records, refused=False)


def refused_length(data: bytes) -> int:
    """Return the declared length of the record after the last valid one, in bytes."""
    good = sum(len(frame_bytes(record)) for record in read_ours(data).records)
    return int.from_bytes(data[good : good + 8], "little")


def read_by_tensorflow(data: bytes, path: Path) -> Read:
    import tensorflow as tf

    path.write_bytes(data)
    records: list[bytes] = []
    try:
        records.extend(record.numpy() for record in tf.data.TFRecordDataset(str(path)))
    except tf.errors.DataLossError:
        return Read(records, refused=True)
    return Read(records, refused=False)


def require_same(ours: Read, theirs: Read, content: bytes) -> None:
    """Require equal results, except that TensorFlow takes a truncated header as the end."""
    assert ours.records == theirs.records
    good_bytes = sum(len(frame_bytes(record)) for record in ours.records)
    if len(content) - good_bytes >= HEADER_BYTES:
        assert ours.refused == theirs.refused


def read_by_beam(data: bytes) -> Read:
    from apache_beam.io.tfrecordio import _TFRecordUtil  # noqa: PLC2701 the reader itself

    stream, records = io.BytesIO(data), []
    try:
        while (record := _TFRecordUtil.read_record(stream)) is not None:
            records.append(record)
    except (ValueError, OverflowError):  # a length that no stream has
        return Read(records, refused=True)
    return Read(records, refused=False)


@given(data=st.data(), damage=edits, sealed=st.booleans())
@FEW
def test_read_frames_damaged_file_yields_same_records_as_tensorflow_and_beam(
    tmp_path: Path, data: st.DataObject, damage: Sequence[Edit], sealed: bool
) -> None:
    content = apply(data.draw(st.sampled_from(TARGETS["framing"].seeds())), damage)
    content = reseal(content) if sealed else content
    ours = read_ours(content)
    assert ours == read_by_beam(content)
    if refused_length(content) <= _MOST_BYTES:
        require_same(ours, read_by_tensorflow(content, tmp_path / "a.tfrecord"), content)


def test_read_frames_every_truncation_equals_tensorflow_and_beam(tmp_path: Path) -> None:
    whole = frame_bytes(b"") + frame_bytes(b"some bytes") + frame_bytes(b"a")
    for length in range(len(whole) + 1):
        content = whole[:length]
        ours = read_ours(content)
        assert ours == read_by_beam(content), length
        require_same(ours, read_by_tensorflow(content, tmp_path / "a.tfrecord"), content)


@pytest.mark.parametrize("length", [1 << 30, 1 << 62, 1 << 63, (1 << 64) - 1])
def test_read_frames_impossible_length_is_refused(length: int) -> None:
    content = frame_bytes(b"first") + reseal(length.to_bytes(8, "little") + bytes(20))
    assert read_ours(content) == Read([b"first"], refused=True)
    assert refused_length(content) == length


@given(data=st.data(), damage=edits)
@FEW
def test_decode_example_damaged_payload_equals_tensorflow(
    data: st.DataObject, damage: Sequence[Edit]
) -> None:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    content = apply(data.draw(st.sampled_from(TARGETS["example"].seeds())), damage)
    try:
        theirs = tf.train.Example.FromString(content).features.feature
    except DecodeError:
        with pytest.raises(CorruptDataError):
            decode_example(content)
        return
    ours = decode_example(content)
    assert set(ours) == set(theirs)
    for name, values in ours.items():
        kind = theirs[name].WhichOneof("kind")
        expected = list(getattr(theirs[name], kind).value) if kind else []
        assert repr(values) == repr(expected)
