"""Reader of every intact record of a damaged TFRecord file.

`verify` and `salvage` use the same function, so their results agree. A training run that skips
damaged records uses `read_indexed`.

The length of a record gives the offset of the next record, but a damaged length is unreliable. The
reader then finds the next intact record with the index of the shard. Without a matching index it
searches the file, one window at a time to bound the memory. An offset that the search has ruled out
is not read as a record again, so the time is proportional to the file size for any content.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from records.errors import CorruptDataError
from records.format.tfrecord import (
    FOOTER_BYTES,
    HEADER_BYTES,
    Frame,
    FrameError,
    check_payload,
    frame_size_bytes,
    is_frame_header,
    payload_length,
    read_at_most,
)
from records.integrity.findings import Finding, finding_from_error
from records.integrity.index_lookup import IndexLookup
from records.integrity.resync import EMPTY, ScannedRegion, find_records
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.format.index import Index
    from records.integrity.compressed_parts import DamagedEnd, PartialStream
    from records.storage import Storage


def read_skipping_damage(
    readable: PartialStream, file: str, rows: IndexLookup | None = None
) -> Iterator[Frame | Finding]:
    """Yield every intact record in order, and a finding for each damaged region.

    Args:
        readable: the bytes of the file; a compressed file has several parts if it is damaged.
        file: the name of the file, for findings.
        rows: the index rows of the file, if any, for the keys of destroyed records.
    """
    index = rows.index if rows is not None else None
    is_last, number = False, 0
    while not is_last:
        pending: FrameError | None = None
        begin = end = readable.begin
        for item in _scan_from(begin, number, readable.stream, index):
            number += 1
            if pending is not None:
                yield _name_record(finding_from_error(pending, "truncated", file), rows)
            pending = item if isinstance(item, FrameError) else None
            if isinstance(item, Frame):
                end = item.offset + frame_size_bytes(len(item.payload))
                yield item
            elif item.offset == begin > 0:
                pending = None  # the rest of a record that begins before the damage
        damaged = readable.next_part()
        if damaged is not None:
            # The last record is incomplete because of this error: both are one finding.
            yield _finding_of(damaged, file, end if pending is None else pending.offset)
        elif pending is not None:
            yield _name_record(finding_from_error(pending, "truncated", file), rows)
        is_last = damaged is None or damaged.is_last


def _scan_from(
    begin: int, number: int, stream: BinaryIO, index: Index | None
) -> Iterator[Frame | FrameError]:
    """Yield the records of a part that begins at an offset, after a number of records."""
    for item in scan_frames(stream, index):
        if isinstance(item, Frame):
            yield item._replace(offset=item.offset + begin) if begin else item
        else:
            assert item.offset is not None
            moved = copy(item)  # `scan_frames` still uses the item
            moved.offset = item.offset + begin
            moved.record = number + (item.record or 0)
            yield moved


def _finding_of(damaged: DamagedEnd, file: str, offset: int | None) -> Finding:
    finding = finding_from_error(damaged.error, "compression", file, offset=offset)
    if damaged.lost_bytes is None:
        return finding
    detail = f"{finding.detail}; {pluralize(damaged.lost_bytes, 'compressed byte')} lost"
    return msgspec.structs.replace(finding, detail=detail, lost_bytes=damaged.lost_bytes)


def _name_record(finding: Finding, rows: IndexLookup | None) -> Finding:
    """Add the number and the key of the destroyed record, if the index has them."""
    found = (
        rows.find_offset(finding.offset)
        if rows is not None and finding.offset is not None
        else None
    )
    if found is None:
        return finding
    number, row = found
    return msgspec.structs.replace(finding, record=number, key=row.key)


def read_indexed(storage: Storage, shard: str, index: Index) -> Iterator[bytes | CorruptDataError]:
    """Yield the payload of every record in an index, in order, or an error if the record is lost.

    Raises:
        FileNotFoundError: the shard does not exist.
    """
    rows = IndexLookup(index)
    next_row = 0
    error: CorruptDataError | None = None
    with storage.open(shard) as stream:
        for item in scan_frames(stream, index):
            if isinstance(item, FrameError):
                error = error or item
                continue
            number = rows.find_frame(item)
            if number is None or number < next_row:
                continue
            yield from _lost_records(index, next_row, number, error)
            yield item.payload
            next_row, error = number + 1, None
    yield from _lost_records(index, next_row, len(index), error)


def _lost_records(
    index: Index, start: int, stop: int, error: CorruptDataError | None
) -> Iterator[CorruptDataError]:
    """Yield an error for each lost record; the first error describes the damage, if it is known."""
    for number in range(start, stop):
        if error is not None and number == start:
            yield error
        else:
            offset = index.location(number).offset
            yield CorruptDataError("the record is lost", record=number, offset=offset)


WINDOW_BYTES = 4 << 20


def scan_frames(stream: BinaryIO, index: Index | None = None) -> Iterator[Frame | FrameError]:
    """Yield the records of a stream in order, and a FrameError for each damaged region.

    A region has one error, even if it contains many records. The field `record` of the error is the
    number of items yielded before it. A record is intact if both checksums are right: a record with
    a damaged length is lost, even if its length is in the index.

    Args:
        stream: a seekable stream; an intact stream is read from start to end.
        index: the index of the shard, which distinguishes records from similar bytes.
    """
    reader = _Reader(stream, index)
    offset = record = 0
    while (item := reader.read(offset, record)) is not None:
        yield item
        record += 1
        offset = reader.next_offset(item)


class _Reader:
    """A stream, with its position, index and last searched region."""

    def __init__(self, stream: BinaryIO, index: Index | None) -> None:
        self._stream = stream
        self._position = 0
        self._index = index if index is not None and index.is_sorted else None
        self._region: ScannedRegion = EMPTY

    def read(self, offset: int, record: int) -> Frame | FrameError | None:
        """Return the record at `offset`, or its error; None at the end of the stream."""
        header = self._read_at(offset, HEADER_BYTES)
        if not header:
            return None
        try:
            length = payload_length(header, record=record, offset=offset)
            self._check_region(offset, length, record)
            end = offset + HEADER_BYTES + length
            payload, footer = self._read_at(end - length, length), self._read_at(end, FOOTER_BYTES)
            checked = check_payload(payload, footer, length, record=record, offset=offset)
            return Frame(offset, checked)
        except FrameError as error:
            return error

    def next_offset(self, item: Frame | FrameError) -> int:
        """Return the offset of the next record, or of the end of the file."""
        if isinstance(item, Frame):
            return item.offset + frame_size_bytes(len(item.payload))
        assert item.offset is not None
        if item.kind == "payload-checksum":
            header = self._read_at(item.offset, HEADER_BYTES)
            following = item.offset + frame_size_bytes(payload_length(header))
            next_header = self._read_at(following, HEADER_BYTES)
            if not next_header or is_frame_header(next_header):
                return following
        return self._find_next(item.offset + 1)

    def _find_next(self, place: int) -> int:
        known = self._find_by_index(place)
        if known is not None:
            return known
        while True:
            if not self._region.begin <= place < self._region.end:
                self._search(place)
            found = self._region.first_record(place)
            if found is not None:
                return found
            place = self._region.end
            if not self._read_at(place, 1):
                return place

    def _find_by_index(self, place: int) -> int | None:
        """Return the first indexed offset from `place` on with a valid frame header, or None."""
        if self._index is None:
            return None
        for position in self._index.locations_from(place):
            header = self._read_at(position.offset, HEADER_BYTES)
            if is_frame_header(header):
                return position.offset
            if len(header) < HEADER_BYTES:
                break
        self._index = None  # no later record is at its offset: do not search again
        return None

    def _search(self, place: int) -> None:
        self._region = find_records(self._stream, place, WINDOW_BYTES)
        self._position = self._stream.tell()

    def _check_region(self, offset: int, length: int, record: int) -> None:
        """Raise FrameError, before the payload is read, if the search has ruled out `offset`."""
        if not self._region.rules_out(offset):
            return
        end = self._region.file_end
        if end is not None and offset + frame_size_bytes(length) > end:
            raise FrameError(
                "truncated", "the file ends inside a record", record=record, offset=offset
            )
        raise FrameError(
            "payload-checksum", "the checksum of a record is wrong", record=record, offset=offset
        )

    def _read_at(self, offset: int, size: int) -> bytes:
        # Avoid seeks: the hash of the bytes read is then the hash of the file.
        if offset != self._position:
            self._stream.seek(offset)
        data = read_at_most(self._stream, size)
        self._position = offset + len(data)
        return data
