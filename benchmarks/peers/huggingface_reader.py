"""Epochs of Hugging Face datasets: `huggingface_reader.py MODE FOLDER EPOCHS CACHE`.

The Parquet files of a folder are first converted to Arrow files in CACHE; those at a URL are
streamed.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

from pixels import reader_of
from torch_loader import collate_of, time_loader

_BUFFER_RECORDS = 1000


def main(mode: str, location: str, epochs: str, cache: str) -> None:
    """Read all records, shuffled; the workers decode the images."""
    os.environ |= {"HF_HOME": cache, "HF_HUB_OFFLINE": "1"}  # read on import
    import datasets

    datasets.disable_progress_bars()
    read, collate = reader_of(mode), collate_of(mode)

    def decode(rows: Sequence[dict[str, Any]]) -> tuple[Any, Any]:
        return collate([(read(row["image"]), row["label"]) for row in rows])

    files = {"data_files": f"{location}/*.parquet", "split": "train"}
    if "://" in location:
        records = datasets.load_dataset("parquet", streaming=True, **files)
        time_loader(records.shuffle(seed=0, buffer_size=_BUFFER_RECORDS), decode, epochs)
    else:
        stored = datasets.load_dataset("parquet", cache_dir=cache, **files)
        time_loader(stored, decode, epochs, shuffle=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
