"""Writer and readers of one shard."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import xxhash

from records.errors import CorruptDataError
from records.format.tfrecord import (
    FOOTER_BYTES,
    HEADER_BYTES,
    Frame,
    are_parts_of_frame,
    check_parts,
    check_payload,
    frame_parts,
    frame_size_bytes,
    is_frame,
    payload_length,
    read_frames,
)
from records.format.tfrecord_compression import open_tfrecord
from records.storage import StagedFile, Storage, hash_stream
from records.storage.base import RangeReader

_COPIED_BYTES = 16 << 10
"""The records that are read and written in one piece: a copy takes less time than more calls."""


class FrameLocation(NamedTuple):
    """Offset and length of the frame of a record in its shard, in bytes."""

    offset: int
    length: int


class ShardWriter:
    """Writer of records to a staged file; it also computes record count, size and hashes."""

    def __init__(self, stream: StagedFile) -> None:
        self._stream = stream
        self._xxh3_128 = xxhash.xxh3_128()
        self._sha256 = hashlib.sha256()
        self.records = 0
        self.size_bytes = 0

    def write(self, payload: bytes) -> FrameLocation:
        """Append one record and return the location of its frame."""
        parts: tuple[bytes, ...] = frame_parts(payload)
        if len(payload) < _COPIED_BYTES:
            parts = (b"".join(parts),)
        for part in parts:
            self._stream.write(part)
            self._xxh3_128.update(part)
            self._sha256.update(part)
        location = FrameLocation(self.size_bytes, frame_size_bytes(len(payload)))
        self.records += 1
        self.size_bytes += location.length
        return location

    @property
    def xxh3_128(self) -> str:
        """The XXH3-128 of all bytes written so far, as 32 hexadecimal digits."""
        return str(self._xxh3_128.hexdigest())

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes written so far, as 64 hexadecimal digits."""
        return self._sha256.hexdigest()


def read_shard(storage: Storage, name: str) -> Iterator[Frame]:
    """Yield the records of any TFRecord file, even if it is GZIP or ZLIB, and check the CRCs.

    The offsets of a compressed file are offsets in the decompressed bytes.

    Raises:
        CorruptDataError: a record is damaged; the error names the file, the record and the offset.
        FileNotFoundError: the file is missing.
    """
    with with_path(storage, name), storage.open(name) as stream:
        yield from read_frames(open_tfrecord(stream))


class ShardReader:
    """Reader of single records of a shard by location; any thread may use it.

    Args:
        ranges: the shard, from `Storage.open_random_access`; it stays open until the reader is
            deleted.
    """

    def __init__(self, ranges: RangeReader) -> None:
        self.ranges = ranges

    def read(self, location: FrameLocation, *, record: int) -> bytes:
        """Read the payload of a record and check the CRCs.

        Args:
            location: the location of the frame, from the index of the shard.
            record: the number of the record, for messages.

        Raises:
            CorruptDataError: the record is damaged, or not at this location; the error has no path.
            FileNotFoundError: the shard is missing.
        """
        offset = location.offset
        frame = self.ranges.read(offset, location.length)
        length = payload_length(frame[:HEADER_BYTES], record=record, offset=offset)
        end = HEADER_BYTES + length
        payload, footer = frame[HEADER_BYTES:end], frame[end : end + FOOTER_BYTES]
        return check_payload(payload, footer, length, record=record, offset=offset)

    def read_in_parts(
        self, offset: int, sizes_bytes: tuple[int, int, int], *, record: int
    ) -> tuple[bytes, bytes, bytes]:
        """Read the frame of a record in three parts, and check the CRCs.

        The parts of a large frame are not copied.

        Args:
            offset: the offset of the frame.
            sizes_bytes: the sizes of the parts; the first part contains the header, and the last
                part contains the footer.
            record: the number of the record, for messages.

        Raises:
            CorruptDataError, FileNotFoundError: as `read`.
        """
        begin_bytes, middle_bytes, end_bytes = sizes_bytes
        size_bytes = begin_bytes + middle_bytes + end_bytes
        if size_bytes <= _COPIED_BYTES:
            frame = self.ranges.read(offset, size_bytes)
            is_valid = is_frame(frame, size_bytes=size_bytes)
            end_at = begin_bytes + middle_bytes
            begin, middle, end = frame[:begin_bytes], frame[begin_bytes:end_at], frame[end_at:]
        else:
            begin, middle, end = self.ranges.read_parts(offset, sizes_bytes)
            is_valid = are_parts_of_frame(begin, middle, end, size_bytes=size_bytes)
        if is_valid:
            return begin, middle, end
        length = payload_length(begin[:HEADER_BYTES], record=record, offset=offset)
        parts, footer = (begin[HEADER_BYTES:], middle, end[:-FOOTER_BYTES]), end[-FOOTER_BYTES:]
        check_parts(parts, footer, length, record=record, offset=offset)
        return begin, middle, end


def hash_file(storage: Storage, name: str) -> str:
    """Return the XXH3-128 of a file as 32 hexadecimal digits. Raises FileNotFoundError."""
    with storage.open(name) as stream:
        return hash_stream(stream)


@contextmanager
def missing_as_corrupt(storage: Storage, name: str) -> Iterator[None]:
    """Raise CorruptDataError if the block raises FileNotFoundError.

    The manifest lists the file `name`, so the dataset is damaged if that file is missing.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise CorruptDataError(
            "a file of the dataset is missing",
            path=storage.display_name(name),
            hint="`shardmill verify` lists all damage",
        ) from error


@contextmanager
def with_path(storage: Storage, name: str) -> Iterator[None]:
    """Add the path of a file to a CorruptDataError that is raised while the file is read."""
    try:
        yield
    except CorruptDataError as error:
        error.path = error.path or storage.display_name(name)
        raise
