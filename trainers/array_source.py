"""Files of labelled arrays as a source of records, by tf.data: as fast as the disk is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from trainers.array_store import FOOTER_BYTES, LABEL_BYTES, ArrayFormat, array_name

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from records.manifest import Shard
    from trainers.selection import Selection

_READ_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class ArraySource:
    """Records as the files of a local folder hold them; floats are given as float32."""

    folder: Path
    format: ArrayFormat

    def read(self, shard: tf.Tensor) -> tf.data.Dataset:
        """See `RecordSource.read`."""
        flat = tf.strings.regex_replace(shard, "/", "-")
        name = tf.strings.regex_replace(flat, r"\.tfrecord$", ".arrays")
        return tf.data.FixedLengthRecordDataset(
            tf.strings.join([f"{self.folder}/", name]),
            self.format.record_bytes,
            footer_bytes=FOOTER_BYTES,
            buffer_size=_READ_BUFFER_BYTES,
        )

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `RecordSource.decode`; arrays (batch, *shape)."""
        array_bytes = self.format.record_bytes - LABEL_BYTES
        content = tf.strings.substr(records, LABEL_BYTES, array_bytes)
        values = as_fed(tf.io.decode_raw(content, self.format.dtype))
        labels = tf.io.decode_raw(tf.strings.substr(records, 0, LABEL_BYTES), tf.int64)
        return tf.reshape(values, (-1, *self.format.shape)), tf.reshape(labels, (-1,))

    def load(self, shard: Shard) -> NDArray[np.void]:
        """The records of a shard, (records,), with the fields `array` and `label`."""
        path = self.folder / array_name(shard.name)
        return np.fromfile(path, self.format.record_type, count=shard.records)

    def record_bytes(self, _selection: Selection) -> int:
        """See `RecordSource.record_bytes`."""
        return self.format.record_bytes


def as_fed(arrays: tf.Tensor) -> tf.Tensor:
    """Arrays as a model takes them: floats of any width as float32."""
    return tf.cast(arrays, tf.float32) if arrays.dtype.is_floating else arrays
