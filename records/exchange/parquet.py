"""Parquet files with the features of Hugging Face: `Image` and `ClassLabel`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from records.dataset.batches import batch_by_bytes
from records.exchange.fields import field_names, present_value
from records.exchange.image_file import image_file, key_as_path
from records.format.layout import CARD
from records.format.metadata.card import FilesOfFormat, make_card
from records.format.metadata.card_header import make_header

if TYPE_CHECKING:
    from records.dataset import Record
    from records.format.columns import ColumnType
    from records.format.manifest import Manifest

_GROUP_RECORDS = 100
_GROUP_BYTES = 32 << 20
"""The most images in a row group, and the bytes after which it ends.

The viewer of the Hub and random access read whole row groups: the Hub recommends 100 images.
"""
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_TYPES: dict[ColumnType, pa.DataType] = {
    "float32": pa.float32(),
    "int64": pa.int64(),
    "string": pa.string(),
}


def write(file: BinaryIO, records: Iterable[Record], manifest: Manifest) -> None:
    """Write a Parquet file; see `FormatModule.write`."""
    schema = _schema(manifest)
    # A dictionary of images would be as large as the images.
    with pq.ParquetWriter(
        pa.PythonFile(file, mode="w"),
        schema,
        compression="snappy",
        use_dictionary=False,
        write_page_index=True,
    ) as writer:
        groups = batch_by_bytes(
            records,
            lambda record: len(record.image),
            most_items=_GROUP_RECORDS,
            end_bytes=_GROUP_BYTES,
        )
        for group in groups:
            writer.write_table(_table(group, schema), row_group_size=len(group))


def side_files(manifest: Manifest) -> dict[str, bytes]:
    """Return the card of the dataset; see `FormatModule.side_files`."""
    header = make_header(manifest, config="default", name_of=str, tags=())
    names = field_names(manifest)
    columns = ", ".join(f"`{column.name}`" for column in manifest.settings.columns)
    label = "the numbers of its classes" if manifest.settings.is_multi_label else "its class"
    reading = [
        f"Each row is an image: `{names.image}` has its bytes and path, `{names.label}` {label}.",
        *([f"The other columns are {columns}."] if columns else []),
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'dataset = load_dataset("PATH")',
        "```",
    ]
    return {CARD: make_card(manifest, files=FilesOfFormat(header, reading))}


def _schema(manifest: Manifest) -> pa.Schema:
    names, settings = field_names(manifest), manifest.settings
    label: dict[str, Any] = {"names": manifest.labels, "_type": "ClassLabel"}
    label_type = pa.int64()
    if settings.is_multi_label:
        label = {"feature": label, "_type": "Sequence"}
        label_type = pa.list_(label_type)
    fields = {names.image: _IMAGE, names.label: label_type}
    features = {names.image: {"_type": "Image"}, names.label: label}
    for column in settings.columns:
        fields[column.name] = _TYPES[column.type]
        features[column.name] = {"dtype": column.type, "_type": "Value"}
    metadata = msgspec.json.encode({"info": {"features": features}})
    return pa.schema(fields, metadata={b"huggingface": metadata})


def _table(records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    is_list = pa.types.is_list(schema.field(1).type)
    columns: list[list[Any]] = [
        [{"bytes": image_file(it).content, "path": key_as_path(it)} for it in records],
        [list(it.labels) if is_list else it.labels[0] for it in records],
    ]
    columns += [[present_value(it.columns[name]) for it in records] for name in schema.names[2:]]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
