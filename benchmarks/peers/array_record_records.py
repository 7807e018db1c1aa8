"""Records of the files that `array_record_writer.py` writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from array_record.python.array_record_data_source import ArrayRecordDataSource
from array_record_writer import LABEL_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence


class ArrayRecords:
    """Images and labels by number."""

    def __init__(self, folder: str) -> None:
        self._source = ArrayRecordDataSource([str(path) for path in list_files(folder)])

    def __len__(self) -> int:
        return len(self._source)

    def read(self, number: int) -> tuple[bytes, int]:
        """Return one record."""
        return split(self._source[number])

    def read_batch(self, numbers: Sequence[int]) -> list[tuple[bytes, int]]:
        """Return the records with these numbers, in this order."""
        return [split(record) for record in self._source.__getitems__(numbers)]


def list_files(folder: str) -> list[Path]:
    """Return the ArrayRecord files of a folder, sorted."""
    return sorted(Path(folder).glob("*.array_record"))


def split(record: bytes) -> tuple[bytes, int]:
    """Return the image and the label of a record."""
    return record[LABEL_BYTES:], int.from_bytes(record[:LABEL_BYTES], "little")
