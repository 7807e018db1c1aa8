"""Batches with `Split.__getitems__`: `shardmill_batch_access.py DATASET DRAWS`."""

import sys
from collections.abc import Sequence

from draws import read_batches_at_random

from records.dataset import open_dataset


def main(folder: str, draws: int) -> None:
    """Read batches of records by their numbers."""
    records = open_dataset(folder)["train"]

    def read(numbers: Sequence[int]) -> list[tuple[bytes, int]]:
        return [(record.image, record.label) for record in records.__getitems__(numbers)]

    read_batches_at_random(len(records), draws, read)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
