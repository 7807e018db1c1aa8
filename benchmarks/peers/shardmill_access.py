"""Random access with `open_dataset`: `shardmill_access.py DATASET DRAWS`."""

import sys

from draws import read_at_random

from records.dataset import open_dataset


def main(folder: str, draws: int) -> None:
    """Read records by their numbers."""
    records = open_dataset(folder)["train"]

    def read(number: int) -> tuple[bytes, int]:
        record = records[number]
        return record.image, record.label

    read_at_random(len(records), draws, read)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
