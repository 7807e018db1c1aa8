"""Conversion with a TensorFlow Datasets generator: `tfds_generator.py SOURCE OUT`."""

import sys
import time
from pathlib import Path

from class_folders import report
from tfds_images.builder import ImagesBuilder


def main(source: Path, out: Path) -> None:
    """Write every file of every class folder into as many shards as TFDS chooses."""
    started = time.perf_counter()
    builder = ImagesBuilder(source, data_dir=out)
    builder.download_and_prepare()
    report(builder.info.splits["train"].num_examples, started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
