"""Columns of a list that a dataset keeps: names, types and values.

The value of the column `age` is the feature `column/age` of a record, and the field `age` of the
column `columns` of an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from records.errors import UsageError
from records.format.example import encode_features
from records.text.escaping import escape_for_display

ColumnType = Literal["float32", "int64", "string"]
Value = int | float | str
"""A value of a column; a missing number of a float32 column is NaN, a missing text is empty."""

MAX_COLUMNS = 1000
MAX_TEXT_BYTES = 1 << 13
"""Maximum size of the texts of one image: an index expands less than its readers allow."""

_MAX_NAME_CHARS = 100
ColumnName = Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_NAME_CHARS)]
_PREFIX = "column/"
_FEATURE_TYPES: dict[ColumnType, type] = {"float32": float, "int64": int, "string": bytes}


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column: its name and the type of its values.

    Attributes:
        name: the name, as in the list.
        type: the type, as TensorFlow Datasets names it.
    """

    name: ColumnName
    type: ColumnType

    @property
    def feature(self) -> str:
        """The name of the feature in a record."""
        return column_feature(self.name)


def column_feature(name: str) -> str:
    """Return the name of the feature of a column in a record."""
    return _PREFIX + name


Columns = tuple[Column, ...]
"""The columns of a dataset, in the order of the UTF-8 bytes of their names."""


def check_columns(columns: Sequence[Column]) -> None:
    """Check the columns of a dataset.

    Raises:
        UsageError: there are too many columns, they are not sorted by distinct names, or a name is
            empty, too long, or has a slash or a control character.
    """
    names = [column.name for column in columns]
    for name in names:
        check_column_name(name)
    if len(names) > MAX_COLUMNS:
        raise UsageError(
            "the columns are too many", expected=f"at most {MAX_COLUMNS:,}", got=len(names)
        )
    if names != sorted(set(names), key=str.encode):
        raise UsageError("the columns are not sorted by distinct names")


def check_column_name(name: str) -> None:
    """Raise UsageError for a name that is empty, too long, or has a slash or a control character.

    TensorFlow Datasets reads a slash as a nested feature.
    """
    if not 0 < len(name) <= _MAX_NAME_CHARS or "/" in name or escape_for_display(name) != name:
        raise UsageError(
            "the name of a column cannot be the name of a feature",
            expected=f"1 to {_MAX_NAME_CHARS} characters, without slashes and control characters",
            got=escape_for_display(name),
        )


def column_features(columns: Sequence[Column]) -> dict[str, type]:
    """Return the type of the single value of each column in records, by feature name."""
    return {column.feature: _FEATURE_TYPES[column.type] for column in columns}


def encode_columns(columns: Sequence[Column], values: Sequence[Value]) -> bytes:
    """Return the features of an Example for the values of the columns, sorted by name."""
    features: dict[str, Any] = {}
    for column, value in zip(columns, values, strict=True):
        features[column.feature] = [value.encode() if isinstance(value, str) else value]
    return encode_features(features)


def decode_columns(columns: Sequence[Column], scalars: Mapping[str, object]) -> dict[str, Value]:
    """Return the values of the columns by name, from the single values of the features.

    Raises:
        UnicodeDecodeError: a text is not valid UTF-8.
    """
    found: dict[str, Value] = {}
    for column in columns:
        value = scalars[column.feature]
        found[column.name] = value.decode() if isinstance(value, bytes) else value  # type: ignore[assignment]
    return found


def pack_values(values: Sequence[Value]) -> bytes:
    """Return the values of one image, in the order of the columns, as one byte string."""
    return _ENCODER.encode(values)


def unpack_values(packed: bytes) -> list[Value]:
    """Return the values that `pack_values` packed."""
    return _DECODER.decode(packed)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Value])
