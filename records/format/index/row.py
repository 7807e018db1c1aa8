"""Rows of an index, and their Parquet columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import xxhash

from records.errors import UsageError
from records.format.columns import Column, Columns, ColumnType, Value, check_columns
from records.format.index.labels import LABELS_FIELD
from records.format.manifest import Manifest
from records.runtime.row_table import RowTable

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("image_offset", pa.int64(), nullable=False),
        pa.field("stored_bytes", pa.int64(), nullable=False),
        pa.field("format", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("channels", pa.int8(), nullable=False),
        pa.field("source_bytes", pa.int64(), nullable=False),
        pa.field("source_xxh3_128", pa.string(), nullable=False),
        pa.field("changes", pa.list_(pa.string()), nullable=False),
        pa.field("group", pa.uint64(), nullable=False),
    ]
)
"""The columns of every index.

If an image has any number of labels, `labels` follows, and `label` is -1. If the dataset keeps
columns of a list, `columns` follows.
"""

COLUMNS = "columns"
"""The column with the values of the columns of a list."""

_NO_COLUMNS: Mapping[str, Value] = {}


_ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "float32": pa.float32(),
    "int64": pa.int64(),
    "string": pa.string(),
}


class RowForm(NamedTuple):
    """What the rows of all indexes of a dataset have in common.

    Attributes:
        columns: the columns of a list that the dataset keeps.
        multi_label: whether an image has any number of labels.
        classes: the number of classes.
    """

    columns: Columns
    multi_label: bool
    classes: int

    @classmethod
    def of(cls, manifest: Manifest) -> RowForm:
        """Return the form of the rows of a dataset."""
        settings = manifest.settings
        return cls(settings.columns, settings.is_multi_label, len(manifest.labels))


class IndexRow(NamedTuple):
    """The row of one record: its key as text, the location of its frame, and image properties.

    The encoded image has `stored_bytes` bytes at `image_offset` in the shard. `group` is the hash
    of the group of the image (`hash_group`); 0 if the image is in no group. `columns` has the
    values of the columns of the dataset by name. `labels` are the labels of an image with any
    number of them; `label` is then -1.
    """

    key: str
    label: int
    offset: int
    length: int
    image_offset: int
    stored_bytes: int
    format: str
    width: int
    height: int
    channels: int
    source_bytes: int
    source_xxh3_128: str
    changes: tuple[str, ...]
    group: int = 0
    columns: Mapping[str, Value] = _NO_COLUMNS
    labels: tuple[int, ...] | None = None

    @property
    def all_labels(self) -> tuple[int, ...]:
        """The labels of the image: exactly one, unless the dataset has the task `multi-label`."""
        return (self.label,) if self.labels is None else self.labels


def hash_group(group: bytes | None) -> int:
    """Return the hash of a group as an index stores it; 0 for no group."""
    return 0 if group is None else xxhash.xxh3_64_intdigest(group) or 1


def arrow_field(columns: Sequence[Column]) -> pa.Field:
    """Return the column `columns` of an index: a struct with a field per column."""
    fields = [pa.field(it.name, _ARROW_TYPES[it.type], nullable=False) for it in columns]
    return pa.field("columns", pa.struct(fields), nullable=False)


def columns_of(field: pa.Field) -> Columns:
    """Return the columns of the column `columns` of an index.

    Raises:
        ValueError: the field is not a struct, or a type or a name is not that of a column.
    """
    types = {kind: name for name, kind in _ARROW_TYPES.items()}
    kind = field.type
    if not pa.types.is_struct(kind) or any(each.type not in types for each in kind):
        raise ValueError(f"the type of `columns` is {kind}")
    columns = tuple(Column(each.name, types[each.type]) for each in kind)
    try:
        check_columns(columns)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return columns


def index_schema(columns: Sequence[Column] = (), *, multi_label: bool = False) -> pa.Schema:
    """Return the schema of an index.

    Args:
        columns: the columns that the dataset keeps.
        multi_label: whether an image has any number of labels.
    """
    schema = SCHEMA.append(LABELS_FIELD) if multi_label else SCHEMA
    return schema.append(arrow_field(columns)) if columns else schema


def new_row_table(rows: Iterable[IndexRow] = (), schema: pa.Schema = SCHEMA) -> RowTable[IndexRow]:
    """Return a compact table for index rows; a shard of tiny images can have millions of rows."""
    return RowTable(IndexRow, schema, rows)
