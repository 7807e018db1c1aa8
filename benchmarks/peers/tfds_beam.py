"""Conversion with TensorFlow Datasets on Beam: `tfds_beam.py SOURCE OUT`."""

import sys
import time
from pathlib import Path

import tensorflow_datasets as tfds
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from class_folders import report
from tfds_images.builder import BeamImagesBuilder


def main(source: Path, out: Path) -> None:
    """Write every file of every class folder into as many shards as TFDS chooses."""
    started = time.perf_counter()
    builder = BeamImagesBuilder(source, data_dir=out)
    config = tfds.download.DownloadConfig(beam_runner=FnApiRunner())
    builder.download_and_prepare(download_config=config)
    report(builder.info.splits["train"].num_examples, started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
