"""Epochs of Grain with ArrayRecord files: `grain_reader.py MODE FOLDER EPOCHS CACHE`."""

import sys
from collections.abc import Iterator
from typing import Any

import grain
from array_record_records import list_files, split
from epochs import BATCH_SIZE, WORKERS, time_epochs
from pixels import reader_of

_BATCHES_AHEAD = 8


def main(mode: str, folder: str, epochs: str, _cache: str) -> None:
    """Read all records on two threads, in a different random order in each epoch."""
    paths = [str(path) for path in list_files(folder)]
    source = grain.sources.ArrayRecordDataSource(paths)
    read = reader_of(mode)
    seeds = iter(range(int(epochs)))

    def parse(record: bytes) -> tuple[Any, int]:
        image, label = split(record)
        return read(image), label

    def epoch() -> Iterator[int]:
        shuffled = grain.MapDataset.source(source).shuffle(seed=next(seeds)).map(parse)
        # Each thread makes whole batches; threads that share a batch would wait for each other.
        options = grain.ReadOptions(num_threads=WORKERS, prefetch_buffer_size=_BATCHES_AHEAD)
        batches = shuffled.batch(BATCH_SIZE).to_iter_dataset(options)
        return (len(labels) for _, labels in batches)

    time_epochs(int(epochs), epoch)


if __name__ == "__main__":
    main(*sys.argv[1:])
