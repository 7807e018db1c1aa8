"""Which row of an index belongs to a record, also where damage has moved the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.dataset.record import decode_record
from records.errors import CorruptDataError
from records.format.tfrecord import frame_size_bytes

if TYPE_CHECKING:
    from records.format.index import Index, IndexRow
    from records.format.tfrecord import Frame

_ROWS_AT_A_TIME = 1024


class IndexLookup:
    """An index's rows by offset and key; made Python values a thousand at a time."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._numbers: dict[str, int] | None = None
        self._start = 0
        self._rows: list[IndexRow] = []
        self._shift = 0

    def at(self, offset: int) -> tuple[int, IndexRow] | None:
        """The record's number and row, by where its frame begins.

        Where a record was found to be longer than its row says, those behind it lie further on.
        """
        for shift in (self._shift, 0):
            number = self.index.find(offset - shift)
            if number is not None:
                return number, self._row(number)
        return None

    def of_key(self, key: str) -> tuple[int, IndexRow] | None:
        """The number and row of the first record with this key."""
        if self._numbers is None:
            keys = self.index.table["key"].to_pylist()
            self._numbers = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
        number = self._numbers.get(key)
        return None if number is None else (number, self._row(number))

    def of_frame(self, frame: Frame) -> int | None:
        """The number of a whole record: by its place and length, else by the key in it."""
        found = self.at(frame.offset)
        if found is not None and found[1].length == frame_size_bytes(len(frame.payload)):
            return found[0]
        try:
            found = self.of_key(decode_record(frame.payload).key)
        except CorruptDataError:
            return None
        if found is None:
            return None
        self.go_behind(found[1], frame)
        return found[0]

    def go_behind(self, row: IndexRow, frame: Frame) -> None:
        """Take note of where the record of `row` ends."""
        end = frame.offset + frame_size_bytes(len(frame.payload))
        self._shift = end - (row.offset + row.length)

    def _row(self, number: int) -> IndexRow:
        if not self._start <= number < self._start + len(self._rows):
            self._start = number
            self._rows = self.index.rows(number, number + _ROWS_AT_A_TIME)
        return self._rows[number - self._start]
