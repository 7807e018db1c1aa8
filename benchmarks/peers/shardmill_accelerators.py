"""Accelerators that read `as_tf_dataset`: `shardmill_accelerators.py DATASET STEPS`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from accelerators import report_busy_shares

from benchmarks.suites.accelerators import BATCH_SIZE
from records.dataset import open_dataset
from trainers.input.dataset import as_tf_dataset

if TYPE_CHECKING:
    import tensorflow as tf

_SIDE_PX = 224


def main(location: str, steps: str) -> None:
    """Read batches of images at their stored size, or at 224×224 if their sizes differ."""
    size = open_dataset(location).manifest.settings.images.resize

    def read(number: int) -> tf.data.Dataset:
        return as_tf_dataset(
            location,
            image_size=None if size else _SIDE_PX,
            batch_size=BATCH_SIZE,
            shuffle=True,
            seed=number,
            drop_remainder=True,
            repeat=True,
        )

    report_busy_shares(read, int(steps))


if __name__ == "__main__":
    main(*sys.argv[1:])
