"""Accelerators that read with tf.data: `tf_data_accelerators.py DATASET STEPS`.

The pipeline is that of DLIO, the program of MLPerf Storage.
"""

import sys
from pathlib import Path

import tensorflow as tf
from accelerators import report_busy_shares

from benchmarks.suites.accelerators import BATCH_SIZE

_BUFFER_RECORDS = 1024
_SIDE_PX = 224
_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/class/label": tf.io.FixedLenFeature((), tf.int64),
}


def main(location: str, steps: str) -> None:
    """Read and shuffle the records, parse them one by one, and decode JPEG images."""
    paths = [str(path) for path in sorted(Path(location).rglob("train-*.tfrecord"))]
    first = next(iter(tf.data.TFRecordDataset(paths[0])))
    is_jpeg = bool(tf.io.is_jpeg(tf.io.parse_single_example(first, _FEATURES)["image/encoded"]))

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = tf.io.parse_single_example(record, _FEATURES)
        encoded = features["image/encoded"]
        if not is_jpeg:
            return tf.io.decode_raw(encoded, tf.uint8), features["image/class/label"]
        pixels = tf.image.resize(tf.io.decode_jpeg(encoded, channels=3), (_SIDE_PX, _SIDE_PX))
        return tf.cast(pixels, tf.uint8), features["image/class/label"]

    def read(number: int) -> tf.data.Dataset:
        return (
            tf.data.TFRecordDataset(paths, num_parallel_reads=tf.data.AUTOTUNE)
            .shuffle(_BUFFER_RECORDS, seed=number)
            .repeat()
            .map(parse, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(BATCH_SIZE, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    report_busy_shares(read, int(steps))


if __name__ == "__main__":
    main(*sys.argv[1:])
