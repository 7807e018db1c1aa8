"""Random access with MosaicML's `StreamingDataset`: `mds_access.py FOLDER DRAWS`."""

import sys

from draws import read_at_random
from streaming import StreamingDataset


def main(folder: str, draws: int) -> None:
    """Read records by their numbers."""
    records = StreamingDataset(local=folder, batch_size=1)

    def read(number: int) -> tuple[bytes, int]:
        record = records[number]
        return record["image"], int(record["label"])

    read_at_random(records.num_samples, draws, read)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
