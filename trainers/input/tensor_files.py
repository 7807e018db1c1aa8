"""Labelled arrays on disk: a file a shard, of records that are fixed in length.

    record   label, int64 little-endian │ array, C order, little-endian
    footer   xxh3-128, 16 bytes, of the file's identity and then of all records

Decoded pixels and features are kept so; `trainers.input.tensor_files` reads them. The identity, a text
that is not in the file, names all that the content follows from: a file of anything else is as
little whole as one that lost a part.

Files of labelled arrays as a source of records, by tf.data: as fast as the disk is read.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tensorflow as tf
import xxhash

from records.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from records.format.manifest import ShardInfo
    from records.storage import StagedFile, Storage
    from trainers.input.selection import Selection


FORMAT_VERSION = 1
"""Raised when the same arrays are written otherwise."""

LABEL_BYTES = 8
FOOTER_BYTES = 16
_READ_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class ArrayFormat:
    """What a record holds beside its label."""

    dtype: Literal["uint8", "float16", "float32"]
    shape: tuple[int, ...]

    @property
    def record_type(self) -> np.dtype[Any]:
        """A record as NumPy lays it out, `label` and `array`."""
        values = np.dtype(self.dtype).newbyteorder("<")
        return np.dtype([("label", "<i8"), ("array", values, self.shape)])

    @property
    def record_bytes(self) -> int:
        """The bytes of a record."""
        return self.record_type.itemsize

    def file_bytes(self, records: int) -> int:
        """The bytes of a file of so many records."""
        return records * self.record_bytes + FOOTER_BYTES


def array_name(shard: str) -> str:
    """The file of a shard, by the shard's name: one folder holds those of all generations."""
    return shard.replace("/", "-").removesuffix(".tfrecord") + ".arrays"


def write_arrays(
    stream: StagedFile,
    array_format: ArrayFormat,
    identity: str,
    batches: Iterable[tuple[NDArray[Any], NDArray[np.int64]]],
) -> int:
    """Write one file; the number of its records.

    Args:
        stream: the file, empty.
        array_format: what it holds.
        identity: what its content follows from.
        batches: arrays (batch, *shape) of the format's type, and labels (batch,).
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
    """Whether a file is there, of that size and that identity, and every byte as it was written."""
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


def cache_dir(kind: str) -> Path:
    """Where what can be made anew lies: in `$XDG_CACHE_HOME/shardmill`, or below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shardmill" / kind


def check_space(folder: Path, size_bytes: int, *, what: str, hint: str) -> None:
    """Refuse what does not fit, before it is made. Raises OutputError.

    Args:
        folder: where it is to lie; it need not be there yet.
        size_bytes: of all of it.
        what: it, in the plural.
        hint: what to do then.
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
        values = to_model_dtype(tf.io.decode_raw(content, self.format.dtype))
        labels = tf.io.decode_raw(tf.strings.substr(records, 0, LABEL_BYTES), tf.int64)
        return tf.reshape(values, (-1, *self.format.shape)), tf.reshape(labels, (-1,))

    def load(self, shard: ShardInfo) -> NDArray[np.void]:
        """The records of a shard, (records,), with the fields `array` and `label`."""
        path = self.folder / array_name(shard.name)
        return np.fromfile(path, self.format.record_type, count=shard.records)

    def record_bytes(self, _selection: Selection) -> int:
        """See `RecordSource.record_bytes`."""
        return self.format.record_bytes


def to_model_dtype(arrays: tf.Tensor) -> tf.Tensor:
    """Arrays as a model takes them: floats of any width as float32."""
    return tf.cast(arrays, tf.float32) if arrays.dtype.is_floating else arrays
