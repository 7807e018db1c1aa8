"""The whole records of a file, and what each damage between them is.

`verify` and `salvage` read by the same function, so that they agree; a training that goes on past
damage reads by the rows of the index.

Every record that a damaged TFRecord file still holds: the one way to read on past damage.

A record's length says where the next one begins, and damage takes that away, or makes it doubtful.
Then the shard's index is asked where its records begin; without one, or where that is not true any
more, the file is surveyed for the next whole record, a window at a time. Windows bound the memory;
what a window has shown not to be a record is not read as one again, so that a file takes time in
proportion to its size whatever is in it.
"""

from __future__ import annotations

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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.format.index import Index
    from records.format.tfrecord_compression import PartialStream
    from records.storage import Storage


def read_skipping_damage(
    readable: PartialStream, file: str, rows: IndexLookup | None = None
) -> Iterator[Frame | Finding]:
    """Every whole record in order, and a finding for each damaged stretch.

    Args:
        readable: the file's records as far as they can be had.
        file: its name, for findings.
        rows: its index, which names the first record that a damage destroyed.
    """
    index = rows.index if rows is not None else None
    held: FrameError | None = None
    end = 0
    for item in scan_frames(readable.stream, index):
        if held is not None:
            yield _name_record(finding_from_error(held, "truncated", file), rows)
        held = item if isinstance(item, FrameError) else None
        if isinstance(item, Frame):
            end = item.offset + frame_size_bytes(len(item.payload))
            yield item
    if readable.damage is not None:
        # Bytes that end early end inside a record: that is this damage, not another one.
        offset = end if held is None else held.offset
        yield finding_from_error(readable.damage, "compression", file, offset=offset)
    elif held is not None:
        yield _name_record(finding_from_error(held, "truncated", file), rows)


def _name_record(finding: Finding, rows: IndexLookup | None) -> Finding:
    """The index knows which image it was that cannot be read any more."""
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
    """The payload of every record that a shard's index names, in its order, or what is wrong.

    Raises:
        FileNotFoundError: there is no such shard.
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
            yield from _explain_gap(index, next_row, number, error)
            yield item.payload
            next_row, error = number + 1, None
    yield from _explain_gap(index, next_row, len(index), error)


def _explain_gap(
    index: Index, start: int, stop: int, error: CorruptDataError | None
) -> Iterator[CorruptDataError]:
    """An error for each record that was lost; the first says what the damage is."""
    for number in range(start, stop):
        if error is not None and number == start:
            yield error
        else:
            offset = index.position(number).offset
            yield CorruptDataError("the record is not there any more", record=number, offset=offset)


_WINDOW_BYTES = 4 << 20


def scan_frames(stream: BinaryIO, index: Index | None = None) -> Iterator[Frame | FrameError]:
    """The records of a stream in order, and a FrameError for each damaged stretch between them.

    One stretch is one error, however many records it destroyed; `record` numbers what is yielded.
    A record is whole where both its checksums are right: one whose length is damaged is lost, also
    where an index tells what that was.

    Args:
        stream: seekable; where nothing is damaged it is read from its beginning to its end.
        index: the shard's, to tell records from what only looks like them in a damaged one.
    """
    scan = _Reader(stream, index)
    offset = record = 0
    while (item := scan.read(offset, record)) is not None:
        yield item
        record += 1
        offset = scan.behind(item)


class _Reader:
    """A stream, and what is known of the places in it."""

    def __init__(self, stream: BinaryIO, index: Index | None) -> None:
        self._stream = stream
        self._position = 0
        self._index = index if index is not None and index.in_order else None
        self._surveyed: ScannedRegion = EMPTY

    def read(self, offset: int, record: int) -> Frame | FrameError | None:
        """The record at a place, or what is wrong with it; None behind the end."""
        header = self._take(offset, HEADER_BYTES)
        if not header:
            return None
        try:
            length = payload_length(header, record=record, offset=offset)
            self._check_survey(offset, length, record)
            end = offset + HEADER_BYTES + length
            payload, footer = self._take(end - length, length), self._take(end, FOOTER_BYTES)
            checked = check_payload(payload, footer, length, record=record, offset=offset)
            return Frame(offset, checked)
        except FrameError as error:
            return error

    def behind(self, item: Frame | FrameError) -> int:
        """Where the next record begins, or the end of the file."""
        if isinstance(item, Frame):
            return item.offset + frame_size_bytes(len(item.payload))
        assert item.offset is not None
        if item.kind == "payload-checksum":
            header = self._take(item.offset, HEADER_BYTES)
            following = item.offset + frame_size_bytes(payload_length(header))
            next_header = self._take(following, HEADER_BYTES)
            if not next_header or is_frame_header(next_header):
                return following
        return self._find_next(item.offset + 1)

    def _find_next(self, place: int) -> int:
        known = self._find_by_index(place)
        if known is not None:
            return known
        while True:
            if not self._surveyed.begin <= place < self._surveyed.end:
                self._survey(place)
            found = self._surveyed.first_record(place)
            if found is not None:
                return found
            place = self._surveyed.end
            if not self._take(place, 1):
                return place

    def _find_by_index(self, place: int) -> int | None:
        """The first record from `place` on that begins where the index says."""
        if self._index is None:
            return None
        for position in self._index.positions_from(place):
            header = self._take(position.offset, HEADER_BYTES)
            if is_frame_header(header):
                return position.offset
            if len(header) < HEADER_BYTES:
                break
        self._index = None  # none is there any more, so that asking again for each would be waste
        return None

    def _survey(self, place: int) -> None:
        self._surveyed = find_records(self._stream, place, _WINDOW_BYTES)
        self._position = self._stream.tell()

    def _check_survey(self, offset: int, length: int, record: int) -> None:
        """Refuse what a survey has shown to be no whole record, before it is read."""
        if not self._surveyed.refutes(offset):
            return
        end = self._surveyed.file_end
        if end is not None and offset + frame_size_bytes(length) > end:
            raise FrameError(
                "truncated", "the file ends inside a record", record=record, offset=offset
            )
        raise FrameError(
            "payload-checksum", "the checksum of a record is wrong", record=record, offset=offset
        )

    def _take(self, offset: int, size: int) -> bytes:
        # Streams that only read on need no seek for it, and a hash of all bytes stays one.
        if offset != self._position:
            self._stream.seek(offset)
        data = read_at_most(self._stream, size)
        self._position = offset + len(data)
        return data
