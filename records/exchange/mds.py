"""MDS shards, which MosaicML Streaming reads.

Each split is a folder with shards and an index.

A shard is the number of its samples (uint32), the offsets of all samples and of the end (uint32),
its configuration as JSON, and the samples. A sample is the sizes of its columns of variable size
(uint32), and the values of all columns in the order of their names. All numbers are little-endian.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from records.errors import UsageError
from records.exchange.fields import field_names
from records.exchange.image_file import image_file, key_as_path
from records.exchange.temporary_files import translate_temporary_errors
from records.storage import COPY_STEP_BYTES
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from records.dataset import Record
    from records.exchange.fields import FieldNames
    from records.format.columns import ColumnType
    from records.format.manifest import Manifest

_INDEX = "index.json"
_MOST_BYTES = (1 << 32) - 1
_BUFFER_BYTES = 64 << 20
_IMAGE = "jpeg"
"""The encoding of images: Pillow opens them, also PNG files."""
_ENCODINGS: dict[ColumnType, str] = {"float32": "float32", "int64": "int", "string": "str"}
_SIZES = {"int": 8, "float32": 4}
_FORMATS = {"int": "<q", "float32": "<f"}


class _Column(NamedTuple):
    """A column: its name, and its encoding in the terms of Streaming."""

    name: str
    encoding: str


def write(file: BinaryIO, records: Iterable[Record], manifest: Manifest) -> None:
    """Write an MDS shard; see `FormatModule.write`.

    Raises:
        UsageError: the shard would be over 4 GiB.
        OutputError, StorageError: the temporary file cannot be written.
    """
    names, columns = field_names(manifest), _columns(manifest)
    is_multi_label = manifest.settings.is_multi_label
    config = json.dumps(_config(columns), sort_keys=True).encode()
    sizes: list[int] = []
    with tempfile.SpooledTemporaryFile(_BUFFER_BYTES) as samples:
        for record in records:
            values = _values(record, names, is_multi_label)
            sample = _encode([(column.encoding, values[column.name]) for column in columns])
            with translate_temporary_errors():
                samples.write(sample)
            sizes.append(len(sample))
        first = 4 * (len(sizes) + 2) + len(config)
        offsets = list(accumulate(sizes, initial=first))
        if offsets[-1] > _MOST_BYTES:
            raise UsageError(
                "a file of MDS is too large",
                expected="at most 4 GiB",
                got=pluralize(offsets[-1], "byte"),
                hint="pass a smaller --file-mb or --images-per-file",
            )
        file.write(struct.pack(f"<{len(offsets) + 1}I", len(sizes), *offsets) + config)
        with translate_temporary_errors():
            samples.seek(0)
        while block := samples.read(COPY_STEP_BYTES):
            file.write(block)


def side_files(manifest: Manifest) -> dict[str, bytes]:
    """Return the index of each split; see `FormatModule.side_files`."""
    config = _config(_columns(manifest))
    files = {}
    for split, info in manifest.splits.items():
        shards = [
            {
                **config,
                "raw_data": {
                    "basename": shard.name.rpartition("/")[2],
                    "bytes": shard.bytes,
                    "hashes": {},
                },
                "samples": shard.records,
                "zip_data": None,
            }
            for shard in info.shards
        ]
        files[f"{split}/{_INDEX}"] = json.dumps({"shards": shards, "version": 2}).encode()
    return files


def _columns(manifest: Manifest) -> list[_Column]:
    names, settings = field_names(manifest), manifest.settings
    is_multi_label = settings.is_multi_label
    columns = [
        _Column(names.image, _IMAGE),
        _Column(names.label, "json" if is_multi_label else "int"),
        _Column(names.class_name, "json" if is_multi_label else "str"),
        _Column(names.key, "str"),
        *(_Column(column.name, _ENCODINGS[column.type]) for column in settings.columns),
    ]
    return sorted(columns)


def _config(columns: list[_Column]) -> dict[str, Any]:
    return {
        "column_encodings": [column.encoding for column in columns],
        "column_names": [column.name for column in columns],
        "column_sizes": [_SIZES.get(column.encoding) for column in columns],
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": None,
        "version": 2,
    }


def _values(record: Record, names: FieldNames, is_multi_label: bool) -> dict[str, Any]:
    return {
        names.image: image_file(record).content,
        names.label: list(record.labels) if is_multi_label else record.labels[0],
        names.class_name: list(record.class_names) if is_multi_label else record.class_names[0],
        names.key: key_as_path(record),
        **record.columns,
    }


def _encode(values: list[tuple[str, Any]]) -> bytes:
    """Return a sample: `values` are the encodings and the values of the columns."""
    encoded = [_encode_value(encoding, value) for encoding, value in values]
    sizes = [
        len(content)
        for (encoding, _), content in zip(values, encoded, strict=True)
        if encoding not in _SIZES
    ]
    return struct.pack(f"<{len(sizes)}I", *sizes) + b"".join(encoded)


def _encode_value(encoding: str, value: Any) -> bytes:
    if encoding in _FORMATS:
        return struct.pack(_FORMATS[encoding], value)
    if encoding == "json":
        return json.dumps(value).encode()
    return value.encode() if isinstance(value, str) else bytes(value)
