"""Epochs of MosaicML's `StreamingDataset`: `mds_reader.py MODE FOLDER EPOCHS CACHE`.

Shards at a URL are first copied to CACHE.
"""

import sys
from typing import Any

from epochs import BATCH_SIZE
from pixels import reader_of
from streaming import StreamingDataset
from torch_loader import collate_of, time_loader


class Images(StreamingDataset):
    """Images and labels of a dataset that `mds_writer.py` wrote."""

    def __init__(self, mode: str, **options: Any) -> None:
        super().__init__(batch_size=BATCH_SIZE, shuffle=True, **options)
        self._read_image = reader_of(mode)

    def __getitem__(self, number: int) -> tuple[Any, int]:
        """Return an image and its label."""
        record = super().__getitem__(number)
        return self._read_image(record["image"]), record["label"]


def main(mode: str, location: str, epochs: str, cache: str) -> None:
    """Read all records, shuffled."""
    is_remote = "://" in location
    places = {"remote": location, "local": cache} if is_remote else {"local": location}
    time_loader(Images(mode, **places), collate_of(mode), epochs)


if __name__ == "__main__":
    main(*sys.argv[1:])
