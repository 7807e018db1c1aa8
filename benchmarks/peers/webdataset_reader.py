"""Epochs of WebDataset with TAR files: `webdataset_reader.py MODE FOLDER EPOCHS CACHE`.

From S3, WebDataset reads the presigned URLs in `PRESIGNED_URLS` with `curl`, which it calls by
default.
"""

import os
import sys
from pathlib import Path
from typing import Any

import webdataset
from epochs import BATCH_SIZE, WORKERS, time_epochs
from pixels import reader_of
from torch_loader import collate_of

_BUFFER_RECORDS = 1000


def main(mode: str, location: str, epochs: str, _cache: str) -> None:
    """Read all TAR files; shuffle the files, and then the records with a buffer."""
    read = reader_of(mode)

    def parse(pair: tuple[bytes, bytes]) -> tuple[Any, int]:
        return read(pair[0]), int(pair[1])

    records = (
        webdataset.WebDataset(list_urls(location), shardshuffle=100)
        .shuffle(_BUFFER_RECORDS)
        .to_tuple("jpg", "cls")
        .map(parse)
        .batched(BATCH_SIZE, collation_fn=collate_of(mode))
    )
    loader = webdataset.WebLoader(
        records, batch_size=None, num_workers=WORKERS, persistent_workers=True
    )
    time_epochs(int(epochs), lambda: (len(labels) for _, labels in loader))


def list_urls(location: str) -> list[str]:
    """Return the TAR files of a folder, or their presigned URLs."""
    if "://" not in location:
        return [str(path) for path in sorted(Path(location).glob("*.tar"))]
    urls = os.environ["PRESIGNED_URLS"].split()
    return [url for url in urls if ".tar?" in url]


if __name__ == "__main__":
    main(*sys.argv[1:])
