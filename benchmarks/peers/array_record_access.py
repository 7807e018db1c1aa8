"""Random access with ArrayRecord's data source: `array_record_access.py FOLDER DRAWS`."""

import sys

from array_record_records import ArrayRecords
from draws import read_at_random


def main(folder: str, draws: int) -> None:
    """Read records by their numbers."""
    records = ArrayRecords(folder)
    read_at_random(len(records), draws, records.read)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
