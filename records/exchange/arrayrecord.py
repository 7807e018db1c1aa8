"""ArrayRecord files and metadata that Grain and TensorFlow Datasets (TFDS) read.

The records are those of `records.exchange.tfds`. Only the library writes such files, to a local
path. Each record is a separate group, for random access. Images are compressed already.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from records.exchange.temporary_files import translate_temporary_errors
from records.exchange.tfds import encode_record
from records.format.tfds_metadata import tfds_files
from records.runtime.extras import require_extra
from records.storage import COPY_STEP_BYTES

if TYPE_CHECKING:
    from records.dataset import Record
    from records.format.manifest import Manifest

_EXTENSION = ".array_record"
_OPTIONS = "group_size:1,uncompressed,max_parallelism:1"
"""The file has the options in it: the number of CPUs must not be one of them."""


def write(file: BinaryIO, records: Iterable[Record], manifest: Manifest) -> None:
    """Write an ArrayRecord file; see `FormatModule.write`.

    Raises:
        UsageError: the package array-record is not installed.
        OutputError, StorageError: the temporary file cannot be written.
    """
    library = require_extra("array_record.python.array_record_module", "arrayrecord")
    with tempfile.TemporaryDirectory(prefix="shardmill-") as folder:
        path = Path(folder) / f"new{_EXTENSION}"
        with translate_temporary_errors():
            writer = library.ArrayRecordWriter(str(path), _OPTIONS)
        try:
            for record in records:
                encoded = encode_record(record, manifest.settings.columns)
                with translate_temporary_errors():
                    writer.write(encoded)
        except BaseException:
            with suppress(RuntimeError):
                writer.close()
            raise
        with translate_temporary_errors():
            writer.close()
            stream = path.open("rb")
        with stream:
            shutil.copyfileobj(stream, file, COPY_STEP_BYTES)


def side_files(manifest: Manifest) -> dict[str, bytes]:
    """Return the metadata of TFDS; see `FormatModule.side_files`."""
    splits = {}
    for name, info in manifest.splits.items():
        # The metadata follow from the numbers in the names of shards.
        shards = tuple(
            msgspec.structs.replace(shard, name=shard.name.replace(_EXTENSION, ".tfrecord"))
            for shard in info.shards
        )
        splits[name] = msgspec.structs.replace(info, shards=shards)
    renamed = msgspec.structs.replace(manifest, splits=splits)
    return tfds_files(renamed, file_format="array_record")
