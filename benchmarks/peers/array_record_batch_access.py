"""Batches with ArrayRecord's data source: `array_record_batch_access.py FOLDER DRAWS`."""

import sys

from array_record_records import ArrayRecords
from draws import read_batches_at_random


def main(folder: str, draws: int) -> None:
    """Read batches of records by their numbers."""
    records = ArrayRecords(folder)
    read_batches_at_random(len(records), draws, records.read_batch)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
