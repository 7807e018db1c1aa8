"""Lookup of index rows by offset and key, also after damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.dataset.record import decode_record
from records.errors import CorruptDataError
from records.format.tfrecord import frame_size_bytes

if TYPE_CHECKING:
    from records.format.index import Index, IndexRow
    from records.format.tfrecord import Frame

_BATCH_ROWS = 1024


class IndexLookup:
    """The rows of an index by offset and key, converted from Arrow in batches."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._numbers: dict[str, int] | None = None
        self._start = 0
        self._rows: list[IndexRow] = []
        self._shift = 0

    def find_offset(self, offset: int) -> tuple[int, IndexRow] | None:
        """Return the number and the row of the record whose frame begins at `offset`, or None.

        After `realign`, a row is first searched at its shifted offset.
        """
        for shift in (self._shift, 0):
            number = self.index.find(offset - shift)
            if number is not None:
                return number, self._row(number)
        return None

    def find_key(self, key: str) -> tuple[int, IndexRow] | None:
        """Return the number and the row of the first record with this key, or None."""
        if self._numbers is None:
            keys = self.index.table["key"].to_pylist()
            self._numbers = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
        number = self._numbers.get(key)
        return None if number is None else (number, self._row(number))

    def find_frame(self, frame: Frame) -> int | None:
        """Return the number of an intact record, found by offset and length, otherwise by key."""
        found = self.find_offset(frame.offset)
        if found is not None and found[1].length == frame_size_bytes(len(frame.payload)):
            return found[0]
        try:
            found = self.find_key(decode_record(frame.payload).key)
        except CorruptDataError:
            return None
        if found is None:
            return None
        self.realign(found[1], frame)
        return found[0]

    def realign(self, row: IndexRow, frame: Frame) -> None:
        """Shift the offsets of later rows by the end of `frame` minus the end of `row`."""
        end = frame.offset + frame_size_bytes(len(frame.payload))
        self._shift = end - (row.offset + row.length)

    def _row(self, number: int) -> IndexRow:
        if not self._start <= number < self._start + len(self._rows):
            self._start = number
            self._rows = self.index.rows(number, number + _BATCH_ROWS)
        return self._rows[number - self._start]
