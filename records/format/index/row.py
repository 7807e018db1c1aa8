"""Rows of an index, and their Parquet columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import xxhash

from records.format.columns import Column, Columns, Value, arrow_field
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
