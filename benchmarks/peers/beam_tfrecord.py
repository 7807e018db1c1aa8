"""Beam pipeline with one element per image, and `WriteToTFRecord`.

The pipeline follows the documentation of Beam: `beam_tfrecord.py SOURCE OUT`.
"""

import sys
import time
from pathlib import Path

import apache_beam as beam
from apache_beam.io import WriteToTFRecord
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from class_folders import list_images, report
from plain_loop import encode

_SHARDS = 16


def main(source: Path, out: Path) -> None:
    """Write every file of every class folder into 16 shards."""
    started = time.perf_counter()
    images = list_images(source)
    # Without a name, the default runner of Beam would try to download a binary.
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        (
            pipeline
            | beam.Create(images)
            | beam.Reshuffle()
            | beam.Map(encode)
            | WriteToTFRecord(str(out / "train"), file_name_suffix=".tfrecord", num_shards=_SHARDS)
        )
    report(len(images), started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
