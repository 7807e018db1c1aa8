"""Columns of Parquet files with images, by their use."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import pyarrow as pa

from pipelines.sources.cells import Row
from pipelines.sources.column_names import is_index, may_have_role, plain_name
from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.formats.parquet_values import column_cells
from pipelines.sources.containers.wanted import WantedFields
from pipelines.sources.one_hot import find_binary_columns
from records.errors import UsageError
from records.strict_json import decode_json
from records.text.escaping import escape_for_display
from records.untrusted_parquet import ParquetStream, is_list

_IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "photo", "picture")
_LISTS = ("List", "LargeList", "Sequence")
"""The names of lists in the metadata of Hugging Face."""
_LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target", "cls")


class ParquetColumns(NamedTuple):
    """The columns of a file that are read.

    Attributes:
        image: the path of the column with the bytes of images.
        path: the path of the column with the names of images, if there is one.
        labels: the column of the label, or several columns of classes; empty if there is none.
        names: the names of the classes, by the values of the only column of labels.
        kept: the columns whose values the records keep.
        unread: the cell of all rows in each column to keep that is not read: empty if the column
            has only missing values, None if it has neither texts, numbers nor booleans.
    """

    image: str
    path: str | None
    labels: tuple[str, ...] = ()
    names: Mapping[int, str] = MappingProxyType({})
    kept: tuple[str, ...] = ()
    unread: Row = MappingProxyType({})

    @property
    def paths(self) -> list[str]:
        """Return the paths of all columns."""
        found = (self.image, self.path, *self.labels, *self.kept)
        return [*dict.fromkeys(path for path in found if path is not None)]


def choose_columns(file: ParquetStream, data: ContainerBytes) -> ParquetColumns:
    """Return all columns of a file that a conversion uses.

    Raises:
        InvalidParquetError: the file is damaged.
        UsageError: no column, or several ones, can be the image or the label; or a column that the
            user names does not exist, or has values of another type.
    """
    names = _class_names(file.metadata)
    labels = _choose_labels(file, names, data)
    if not labels and data.wanted.has_labels:
        data.notes += _note_fractions(file, data.wanted)
    columns = choose_image(file, data)
    image = next(it.name for it in file.schema if columns.image in {it.name, f"{it.name}.bytes"})
    return columns._replace(
        labels=labels,
        names=dict(enumerate(names.get(labels[0], ()))) if len(labels) == 1 else {},
        kept=_choose_kept(file, labels, data),
        unread={
            field.name: "" if pa.types.is_null(field.type) else None
            for field in file.schema
            if not _has_texts(field.type) and data.wanted.keeps(field.name, (*labels, image))
        },
    )


def choose_image(file: ParquetStream, data: ContainerBytes) -> ParquetColumns:
    """Return only the columns of images and their paths. Raises UsageError."""
    structs = [field.name for field in file.schema if _has_bytes(field.type)]
    plain = [
        field.name
        for field in file.schema
        if _is_binary(field.type) and field.name.lower() in _IMAGE_NAMES
    ]
    image = _only(structs or plain, _IMAGE_NAMES, "image", data)
    if image is None:
        raise UsageError(
            "no column of the Parquet file has images",
            path=data.shown,
            expected="a column of structs with the field bytes, or a binary column named image",
            got=_shown(file.schema.names),
            hint="a table of paths is a list: pass its folder of images as SOURCE, and --list FILE",
        )
    is_struct = image in structs
    has_path = is_struct and file.schema.field(image).type.get_field_index("path") >= 0
    doubtful = {f"{image}.bytes", f"{image}.path"}.intersection(file.schema.names)
    if is_struct and doubtful:
        raise UsageError(
            "two columns of the Parquet file have the same path",
            path=data.shown,
            got=escape_for_display(min(doubtful)),
            hint="rename the column",
        )
    return ParquetColumns(
        f"{image}.bytes" if is_struct else image, f"{image}.path" if has_path else None
    )


def _choose_kept(
    file: ParquetStream, used: Collection[str], data: ContainerBytes
) -> tuple[str, ...]:
    """Return the columns to keep. Raises UsageError if one does not exist, or has no texts."""
    kinds = {field.name: field.type for field in file.schema}
    for flag, name in data.wanted.flags():
        if name not in kinds or not (_has_texts(kinds[name]) or pa.types.is_null(kinds[name])):
            raise UsageError(
                f"{flag} names a column of the Parquet file that does not hold text, numbers"
                " or booleans"
                if name in kinds
                else f"{flag} is not a column of the Parquet file",
                path=data.shown,
                expected=_shown([name for name, kind in kinds.items() if _has_texts(kind)]),
                got=escape_for_display(name),
            )
    return tuple(
        name for name, kind in kinds.items() if _has_texts(kind) and data.wanted.keeps(name, used)
    )


def _choose_labels(
    file: ParquetStream, names: Mapping[str, list[str]], data: ContainerBytes
) -> tuple[str, ...]:
    wanted = data.wanted
    kinds = {field.name: field.type for field in file.schema}
    if not wanted.has_labels:
        return ()
    if wanted.label is not None:
        return _named_labels(wanted.label, kinds, data)
    kinds.pop(wanted.target or "", None)
    declared = [name for name in names if name in kinds]
    named = [
        name
        for name, kind in kinds.items()
        if name.lower() in _LABEL_NAMES
        and _is_label(kind)
        and (wanted.is_multi_label or not is_list(kind))
    ]
    label = _only(declared or named, _LABEL_NAMES, "label", data)
    if label is not None:
        return (label,)
    if not wanted.is_multi_label or wanted.target is not None:
        return ()
    # As in a list: columns that are kept, or have a role by their names, are not classes.
    binary = [
        name
        for name, kind in kinds.items()
        if _is_class(kind) and name not in wanted.kept and not _has_other_role(name)
    ]
    rows = (row for batch in file.batches(binary) for row in column_cells(batch, binary))
    return find_binary_columns(binary, rows, needs_one=False)


def _note_fractions(file: ParquetStream, wanted: WantedFields) -> Iterator[str]:
    """Yield a note on each column that has the name of a label, but numbers with fractions."""
    for field in file.schema:
        has_name = field.name.lower() in _LABEL_NAMES and not wanted.keeps(field.name, ())
        if has_name and pa.types.is_floating(_element_type(field.type)):
            name = escape_for_display(field.name)
            advice = f"; --target-column {name} keeps them as numbers to predict"
            yield (
                f"the column {name} is not used: its numbers have fractions, so they are not"
                f" classes{'' if is_list(field.type) else advice}"
            )


def _named_labels(
    given: str, kinds: Mapping[str, pa.DataType], data: ContainerBytes
) -> tuple[str, ...]:
    """Return the columns that the user names: one of labels, or several of classes."""
    parts = (given,) if given in kinds else tuple(map(str.strip, given.split(",")))
    names = tuple(dict.fromkeys(parts))
    is_good = _is_label if len(names) == 1 else _is_class
    for name in names:
        if name not in kinds or not is_good(kinds[name]):
            raise UsageError(
                "--label-column names a column of the Parquet file that holds neither texts nor"
                " integers"
                if name in kinds
                else "--label-column is not a column of the Parquet file",
                path=data.shown,
                expected=_shown([*kinds]),
                got=escape_for_display(name),
            )
    return names


def _has_other_role(name: str) -> bool:
    roles = ("split", "group")
    return is_index(plain_name(name)) or any(may_have_role(name, role) for role in roles)


def _only(
    found: list[str], preferred: tuple[str, ...], role: str, data: ContainerBytes
) -> str | None:
    """Return the only column, or the only one with the first of the preferred names."""
    if len(found) > 1:
        found = [name for name in found if name.lower() == preferred[0]] or found
    if len(found) > 1:
        shown = ", ".join(map(escape_for_display, found[:5]))
        raise UsageError(
            f"several columns of the Parquet file can be the {role}",
            path=data.shown,
            got=shown,
            hint=f"pass --label-column {escape_for_display(found[0])}"
            if role == "label"
            else "keep one of these columns",
        )
    return found[0] if found else None


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the class names of each column that Hugging Face's metadata declare as labels."""
    try:
        content = decode_json(metadata.get(b"huggingface", b"{}"), _Metadata)
    except (msgspec.DecodeError, RecursionError):
        return {}
    found = {}
    for name, feature in content.info.features.items():
        with suppress(msgspec.ValidationError):
            found[name] = msgspec.convert(_element(feature), _ClassLabel).names
    return found


def _element(feature: object) -> object:
    """Return the type of the elements of a list; the feature itself if it is not one."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    is_list = isinstance(feature, dict) and feature.get("_type") in _LISTS
    return feature.get("feature") if is_list and isinstance(feature, dict) else feature


class _ClassLabel(msgspec.Struct, tag_field="_type", tag="ClassLabel"):
    names: list[str]


class _Info(msgspec.Struct):
    features: dict[str, object] = {}


class _Metadata(msgspec.Struct):
    info: _Info = msgspec.field(default_factory=_Info)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _has_bytes(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    return _is_binary(kind.field("bytes").type)


def _element_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column: in lists, and in dictionaries."""
    kind = kind.value_type if is_list(kind) else kind
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_label(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_integer,
    )
    return any(test(_element_type(kind)) for test in tests)


def _is_class(kind: pa.DataType) -> bool:
    """Return whether a column can hold 0 and 1."""
    return _has_texts(kind) and not is_list(kind)


def _has_texts(kind: pa.DataType) -> bool:
    tests = (_is_label, pa.types.is_floating, pa.types.is_boolean)
    return any(test(_element_type(kind)) for test in tests)


def _shown(names: list[str]) -> str:
    return ", ".join(map(escape_for_display, names[:10])) or "none"
