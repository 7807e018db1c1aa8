"""Labelled arrays on disk: one file of fixed-length records per shard.

    record   label, int64 little-endian │ array, C order, little-endian
             or multi-hot labels, uint8 │ array
    footer   xxh3-128, 16 bytes, of the identity of the file and then of all records

These files store decoded pixels and features. The identity is a text that is not stored in the
file; it names everything that the content depends on. A file that is truncated, or was written with
a different identity, is not intact.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xxhash

from records.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import tensorflow as tf
    from numpy.typing import NDArray

    from records.format.manifest import ShardInfo
    from records.storage import StagedFile, Storage
    from trainers.input.selection import Selection


FORMAT_VERSION = 1
"""Increased when the same arrays give different bytes."""

FOOTER_BYTES = 16
_READ_BUFFER_BYTES = 1 << 20
_TARGET_BYTES = 4


@dataclass(frozen=True)
class ArrayFormat:
    """The type and shape of the array in a record, and the type of its label.

    Args:
        dtype: the type of the array.
        shape: the shape of the array.
        multi_hot: the number of classes if a record has multi-hot labels; 0 if it has one label.
    """

    dtype: Literal["uint8", "float16", "float32"]
    shape: tuple[int, ...]
    multi_hot: int = 0

    @property
    def record_type(self) -> np.dtype[Any]:
        """The NumPy type of a record, with the fields `label` and `array`."""
        values = np.dtype(self.dtype).newbyteorder("<")
        return np.dtype([self._label_field, ("array", values, self.shape)])

    @property
    def _label_field(self) -> tuple[Any, ...]:
        return ("label", "u1", (self.multi_hot,)) if self.multi_hot else ("label", "<i8")

    @property
    def label_bytes(self) -> int:
        """The size of the label of a record, or of its multi-hot labels, in bytes."""
        return self.multi_hot or 8

    def missing_labels(self, records: int) -> NDArray[Any]:
        """Return labels of damaged records: -1, (records,), or no labels, (records, classes)."""
        if self.multi_hot:
            return np.zeros((records, self.multi_hot), np.float32)
        return np.full(records, -1, np.int64)

    @property
    def record_bytes(self) -> int:
        """The size of a record in bytes."""
        return self.record_type.itemsize

    def file_bytes(self, records: int) -> int:
        """Return the size of a file with this number of records."""
        return records * self.record_bytes + FOOTER_BYTES


def array_name(shard: str) -> str:
    """Return a file name for a shard, without folders, unique among all generations."""
    return shard.replace("/", "-").removesuffix(".tfrecord") + ".arrays"


def write_arrays(
    stream: StagedFile,
    array_format: ArrayFormat,
    identity: str,
    batches: Iterable[tuple[NDArray[Any], NDArray[Any]]],
) -> int:
    """Write one file, and return the number of its records.

    Args:
        stream: the empty file.
        array_format: the format of the records.
        identity: a text that names everything that the content depends on.
        batches: arrays (batch, *shape) in this format, and labels (batch,), or (batch, classes) if
            they are multi-hot.
    """
    digest = xxhash.xxh3_128(identity.encode())
    written = 0
    for arrays, labels in batches:
        records = np.empty(len(labels), array_format.record_type)
        records["label"] = labels
        records["array"] = arrays
        content = records.tobytes()
        stream.write(content)
        digest.update(content)
        written += len(labels)
    stream.write(digest.digest())
    return written


def is_intact(storage: Storage, name: str, size_bytes: int, identity: str) -> bool:
    """Return whether a file exists with this size and identity, and a correct checksum."""
    facts = storage.stat(name)
    if facts is None or facts.size_bytes != size_bytes:
        return False
    digest = xxhash.xxh3_128(identity.encode())
    left_bytes = size_bytes - FOOTER_BYTES
    with storage.open(name) as stream:
        while block := stream.read(min(left_bytes, _READ_BUFFER_BYTES)):
            digest.update(block)
            left_bytes -= len(block)
        return stream.read() == digest.digest()


def check_space(folder: Path, size_bytes: int, *, what: str, hint: str) -> None:
    """Check that files fit on the disk before they are written. Raises OutputError.

    Args:
        folder: the folder of the files; it need not exist.
        size_bytes: the total size of the files.
        what: the name of the files in the message, in the plural.
        hint: the hint of the message.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < size_bytes:
        raise OutputError(
            f"the {what} do not fit on this disk",
            path=str(folder),
            expected=f"{size_bytes / 1e6:,.0f} MB free",
            got=f"{free_bytes / 1e6:,.0f} MB",
            hint=hint,
        )


@dataclass(frozen=True)
class ArraySource:
    """Records from the files of a local folder; `decode` returns all floats as float32.

    Args:
        folder: the folder.
        format: the format of the records.
        skipped: the records without an array, as (shard name, record number): their source records
            are damaged, and their stored
            label is -1, or they have no labels.
        targets: the values, float32 (records,), that take the place of the stored labels, by the
            names of the shards; None if the labels are read.
    """

    folder: Path
    format: ArrayFormat
    skipped: frozenset[tuple[str, int]] = frozenset()
    targets: Mapping[str, NDArray[np.float32]] | None = None

    def read(self, shard: tf.Tensor) -> tf.data.Dataset:
        """See `RecordSource.read`."""
        import tensorflow as tf

        flat = tf.strings.regex_replace(shard, "/", "-")
        name = tf.strings.regex_replace(flat, r"\.tfrecord$", ".arrays")
        records = tf.data.FixedLengthRecordDataset(
            tf.strings.join([f"{self.folder}/", name]),
            self.format.record_bytes,
            footer_bytes=FOOTER_BYTES,
            buffer_size=_READ_BUFFER_BYTES,
        )
        return records if self.targets is None else self._join_targets(records, shard)

    def _join_targets(self, records: tf.data.Dataset, shard: tf.Tensor) -> tf.data.Dataset:
        """Return the records with the bytes of their targets before them."""
        import tensorflow as tf

        from trainers.input.shuffle import no_autograph

        def find(name: bytes) -> NDArray[np.object_]:
            assert self.targets is not None
            values = self.targets[name.decode()].astype("<f4")
            return np.array([value.tobytes() for value in values], object)

        found = tf.ensure_shape(tf.numpy_function(find, [shard], tf.string), (None,))
        pairs = tf.data.Dataset.zip((tf.data.Dataset.from_tensor_slices(found), records))
        return pairs.map(no_autograph(lambda target, record: tf.strings.join([target, record])))

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `RecordSource.decode`; arrays (batch, *shape)."""
        import tensorflow as tf

        classes, label_bytes = self.format.multi_hot, self.format.label_bytes
        target_bytes = 0 if self.targets is None else _TARGET_BYTES
        content = tf.strings.substr(
            records, target_bytes + label_bytes, self.format.record_bytes - label_bytes
        )
        values = to_model_dtype(tf.io.decode_raw(content, self.format.dtype))
        arrays = tf.reshape(values, (-1, *self.format.shape))
        if target_bytes:
            targets = tf.io.decode_raw(tf.strings.substr(records, 0, target_bytes), tf.float32)
            return arrays, tf.reshape(targets, (-1,))
        stored = tf.strings.substr(records, 0, label_bytes)
        labels = tf.io.decode_raw(stored, tf.uint8 if classes else tf.int64)
        shaped = tf.reshape(labels, (-1, classes) if classes else (-1,))
        return arrays, to_model_labels(shaped)

    def load(self, shard: ShardInfo) -> NDArray[np.void]:
        """Return the records of a shard as an array (records,) with fields `array` and `label`."""
        path = self.folder / array_name(shard.name)
        return np.fromfile(path, self.format.record_type, count=shard.records)

    def labels_of(self, shard: ShardInfo, records: NDArray[np.void]) -> NDArray[Any]:
        """Return the labels of the records of a shard, or its targets, (records,)."""
        return records["label"] if self.targets is None else self.targets[shard.name]

    def record_bytes(self, _selection: Selection) -> int:
        """See `RecordSource.record_bytes`."""
        return self.format.record_bytes


def to_model_dtype(arrays: tf.Tensor) -> tf.Tensor:
    """Convert arrays to the type that a model expects: floats of any width to float32."""
    import tensorflow as tf

    return tf.cast(arrays, tf.float32) if arrays.dtype.is_floating else arrays


def to_model_labels(labels: tf.Tensor) -> tf.Tensor:
    """Convert stored labels to the type that a loss expects: multi-hot labels to float32."""
    import tensorflow as tf

    return tf.cast(labels, tf.float32) if labels.dtype == tf.uint8 else labels
