"""Epochs of LitData's `StreamingDataset`: `litdata_reader.py MODE FOLDER EPOCHS CACHE`.

Chunks at a URL are first copied to CACHE.
"""

import sys
from typing import Any

from epochs import BATCH_SIZE, WORKERS, time_epochs
from litdata import StreamingDataLoader, StreamingDataset
from litdata.streaming import downloader
from pixels import reader_of
from torch_loader import collate_of


class Images(StreamingDataset):
    """Images and labels of a dataset that `litdata_optimize.py` wrote."""

    def __init__(self, mode: str, *locations: str) -> None:
        super().__init__(*locations, shuffle=True)
        self._read_image = reader_of(mode)

    def __getitem__(self, index: Any) -> tuple[Any, int]:
        """Return an image and its label."""
        record = super().__getitem__(index)
        return self._read_image(record["image"]), record["label"]


def main(mode: str, location: str, epochs: str, cache: str) -> None:
    """Read all records, shuffled."""
    # The client of LitData accepts only HTTPS by default, and has no public option for HTTP.
    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = "true"  # noqa: SLF001
    images = Images(mode, f"{location}/data", cache)
    loader = StreamingDataLoader(
        images,
        batch_size=BATCH_SIZE,
        num_workers=WORKERS,
        persistent_workers=True,
        collate_fn=collate_of(mode),
    )
    time_epochs(int(epochs), lambda: (len(labels) for _, labels in loader))


if __name__ == "__main__":
    main(*sys.argv[1:])
