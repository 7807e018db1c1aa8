"""One epoch of Keras' `image_dataset_from_directory`: `keras_reader.py SOURCE`."""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
from class_folders import report

_SIDE_PX = 224
_BATCH_SIZE = 32


def main(source: str) -> None:
    """Read one epoch to warm up, and measure the second one."""
    batches = keras.utils.image_dataset_from_directory(
        source, image_size=(_SIDE_PX, _SIDE_PX), batch_size=_BATCH_SIZE, seed=0, verbose=0
    )
    for _ in range(2):
        started = time.perf_counter()
        images = sum(len(labels) for _, labels in batches)
    report(images, started)


if __name__ == "__main__":
    main(sys.argv[1])
