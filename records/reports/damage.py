"""The whole records of a file, and what each damage between them is.

`verify` and `salvage` read by the same function, so that they agree; a training that goes on past
damage reads by the rows of the index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.errors import DamagedError
from records.framing import Frame, FrameError, frame_size_bytes
from records.reports.finding import Finding, find_in
from records.reports.row_finder import RowFinder
from records.reports.scan import scan_frames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.compression import ReadableRecords
    from records.index import Index
    from records.storage import Storage


def read_around_damage(
    readable: ReadableRecords, file: str, rows: RowFinder | None = None
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
            yield _name_record(find_in(held, "truncated", file), rows)
        held = item if isinstance(item, FrameError) else None
        if isinstance(item, Frame):
            end = item.offset + frame_size_bytes(len(item.payload))
            yield item
    if readable.damage is not None:
        # Bytes that end early end inside a record: that is this damage, not another one.
        offset = end if held is None else held.offset
        yield find_in(readable.damage, "compression", file, offset=offset)
    elif held is not None:
        yield _name_record(find_in(held, "truncated", file), rows)


def _name_record(finding: Finding, rows: RowFinder | None) -> Finding:
    """The index knows which image it was that cannot be read any more."""
    found = rows.at(finding.offset) if rows is not None and finding.offset is not None else None
    if found is None:
        return finding
    number, row = found
    return msgspec.structs.replace(finding, record=number, key=row.key)


def read_rows(storage: Storage, shard: str, index: Index) -> Iterator[bytes | DamagedError]:
    """The payload of every record that a shard's index names, in its order, or what is wrong.

    Raises:
        FileNotFoundError: there is no such shard.
    """
    rows = RowFinder(index)
    next_row = 0
    error: DamagedError | None = None
    with storage.open(shard) as stream:
        for item in scan_frames(stream, index):
            if isinstance(item, FrameError):
                error = error or item
                continue
            number = rows.of_frame(item)
            if number is None or number < next_row:
                continue
            yield from _explain_gap(index, next_row, number, error)
            yield item.payload
            next_row, error = number + 1, None
    yield from _explain_gap(index, next_row, len(index), error)


def _explain_gap(
    index: Index, start: int, stop: int, error: DamagedError | None
) -> Iterator[DamagedError]:
    """An error for each record that was lost; the first says what the damage is."""
    for number in range(start, stop):
        if error is not None and number == start:
            yield error
        else:
            offset = index.position(number).offset
            yield DamagedError("the record is not there any more", record=number, offset=offset)
