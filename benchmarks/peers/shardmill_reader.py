"""One epoch of the training input from shards: `shardmill_reader.py DATASET`."""

import sys
import time
from pathlib import Path

from class_folders import report

from records.dataset import open_dataset
from trainers.backend import start_backend
from trainers.config import ImageShape
from trainers.input.selection import select_split

_SIDE_PX = 224
_BATCH_SIZE = 32


def main(folder: Path) -> None:
    """Read one epoch to warm up, and measure the second one."""
    start_backend()
    from trainers.input.pipeline import ShardSource, shuffled_batches
    from trainers.input.shuffle import ShuffleSpec

    dataset = open_dataset(folder)
    train = select_split(dataset, "train")
    source = ShardSource.from_dataset(dataset, ImageShape(_SIDE_PX, _SIDE_PX))
    for epoch in range(2):
        order = ShuffleSpec(seed=0, first_epoch=epoch, end_epoch=epoch + 1)
        batches = shuffled_batches(source, train, _BATCH_SIZE, order)
        started = time.perf_counter()
        images = sum(len(labels) for _, labels in batches)
    report(images, started)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
