"""One shard: records written one after another, read as a stream or one by its offset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import xxhash

from records.errors import CorruptDataError
from records.format.tfrecord import (
    FOOTER_BYTES,
    HEADER_BYTES,
    Frame,
    check_parts,
    check_payload,
    frame_parts,
    frame_size_bytes,
    payload_length,
    read_frames,
)
from records.format.tfrecord_compression import open_tfrecord
from records.storage import StagedFile, Storage, hash_stream


class FrameLocation(NamedTuple):
    """Where a record's frame lies in its shard, in bytes."""

    offset: int
    length: int


class ShardWriter:
    """Frames records into a staged file, and keeps count, size and xxh3-128 of what it wrote."""

    def __init__(self, stream: StagedFile) -> None:
        self._stream = stream
        self._digest = xxhash.xxh3_128()
        self.records = 0
        self.size_bytes = 0

    def write(self, payload: bytes) -> FrameLocation:
        """Append one record."""
        for part in frame_parts(payload):  # put together they would be copied once more
            self._stream.write(part)
            self._digest.update(part)
        position = FrameLocation(self.size_bytes, frame_size_bytes(len(payload)))
        self.records += 1
        self.size_bytes += position.length
        return position

    @property
    def xxh3_128(self) -> str:
        """The hash of all bytes so far, 32 hexadecimal digits."""
        return str(self._digest.hexdigest())


def read_shard(storage: Storage, name: str) -> Iterator[Frame]:
    """Every record of a TFRecord file, ours or anybody's, GZIP and ZLIB files too, CRCs checked.

    The offsets of a compressed file are those of its decompressed bytes.

    Raises:
        CorruptDataError: at the first damage, with file, record and offset.
        FileNotFoundError: there is no such file.
    """
    with with_path(storage, name), storage.open(name) as stream:
        yield from read_frames(open_tfrecord(stream))


class ShardReader:
    """Single records of a shard by their positions, from any thread; the file stays open.

    Args:
        storage: the dataset's folder.
        name: the shard.

    Raises:
        FileNotFoundError: there is no such shard; on some storage, not before it is read.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._ranges = storage.open_random_access(name)

    def read(self, position: FrameLocation, *, record: int) -> bytes:
        """The payload of a record, its CRCs checked.

        Args:
            position: from the shard's index.
            record: its number, for messages.

        Raises:
            CorruptDataError: the record is damaged, or is not where the index says; without a path.
            FileNotFoundError: there is no such shard.
        """
        offset = position.offset
        frame = self._ranges.read(offset, position.length)
        length = payload_length(frame[:HEADER_BYTES], record=record, offset=offset)
        end = HEADER_BYTES + length
        payload, footer = frame[HEADER_BYTES:end], frame[end : end + FOOTER_BYTES]
        return check_payload(payload, footer, length, record=record, offset=offset)

    def read_in_parts(
        self, offset: int, sizes_bytes: tuple[int, int, int], *, record: int
    ) -> tuple[bytes, bytes, bytes]:
        """A record's frame in three parts, its CRCs checked: none is a copy of what was read.

        Args:
            offset: of the frame.
            sizes_bytes: of the parts: the first holds the header, the last the footer.
            record: its number, for messages.

        Raises:
            CorruptDataError, FileNotFoundError: as `read`.
        """
        begin, middle, end = self._ranges.read_parts(offset, sizes_bytes)
        length = payload_length(begin[:HEADER_BYTES], record=record, offset=offset)
        parts, footer = (begin[HEADER_BYTES:], middle, end[:-FOOTER_BYTES]), end[-FOOTER_BYTES:]
        check_parts(parts, footer, length, record=record, offset=offset)
        return begin, middle, end


def hash_file(storage: Storage, name: str) -> str:
    """The xxh3-128 of a file, 32 hexadecimal digits. Raises FileNotFoundError."""
    with storage.open(name) as stream:
        return hash_stream(stream)


@contextmanager
def with_path(storage: Storage, name: str) -> Iterator[None]:
    """Put the file's name into damage found while it is read."""
    try:
        yield
    except CorruptDataError as error:
        error.path = error.path or storage.display_name(name)
        raise
