"""Images in the rows of Parquet files, as Hugging Face stores them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines.sources.cells import Row, cell_text, require_short
from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import (
    Entry,
    clean_name,
    image_extension,
    name_problem,
    refuse,
)
from pipelines.sources.containers.member import Member
from records.errors import UsageError
from records.strict_json import decode_json
from records.text.escaping import escape_for_display
from records.untrusted_parquet import InvalidParquetError, ParquetStream, is_list

_IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "photo", "picture")
_LISTS = ("List", "LargeList", "Sequence")
"""The names of lists in the metadata of Hugging Face."""
_LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target", "cls")


class _Columns(NamedTuple):
    """The columns of a file.

    Attributes:
        image: the path of the column with the bytes of images.
        path: the path of the column with the names of images, if there is one.
        label: the column of the label, if there is one.
        names: the names of the classes, by the values of the column.
        kept: the columns whose values the records keep.
    """

    image: str
    path: str | None
    label: str | None
    names: Mapping[int, str]
    kept: tuple[str, ...]

    @property
    def paths(self) -> list[str]:
        """Return the paths of all columns."""
        found = (self.image, self.path, self.label, *self.kept)
        return [*dict.fromkeys(path for path in found if path is not None)]


def list_parquet(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of a Parquet file; offsets are those in `unpack_parquet`.

    Raises:
        CorruptDataError: the file is damaged, or expands too much.
        UsageError: no column, or several ones, can be the image or the label.
    """
    stem = data.container.key.rpartition(b"/")[2].rpartition(b".")[0]
    offset = row = 0
    try:
        file = _open(data)
        columns = _choose_columns(file, data)
        for batch in file.batches(columns.paths):
            for image, path, label, fields in _rows(batch, columns):
                if fields:
                    require_short(fields, f"{data.shown} row {row + 1}")
                name = _name(path)
                if image is None:
                    yield refuse(name or b"%s/%08d" % (stem, row), "its row has no bytes")
                else:
                    key = name or b"%s/%08d%s" % (stem, row, image_extension(image))
                    digest = xxhash.xxh3_128_digest(image)
                    member = Member(data.number, offset, len(image), xxh3_128=digest)
                    fingerprint = int.from_bytes(digest[:8], "big")
                    text = None if columns.label is None else _label(label, columns.names)
                    yield Entry(key, len(image), fingerprint, member, label=text, fields=fields)
                    offset += len(image)
                row += 1
    except InvalidParquetError as error:
        raise damaged(data, escape_for_display(str(error))) from error


def _rows(batch: pa.RecordBatch, columns: _Columns) -> Iterator[tuple[Any, Any, Any, Row]]:
    """Yield the image, the path, the label and the values to keep of each row."""
    images, paths, labels = (_values(batch, name) for name in columns[:3])
    kept = [list(map(cell_text, _values(batch, name))) for name in columns.kept]
    for row, found in enumerate(zip(images, paths, labels, strict=True)):
        yield *found, {name: values[row] for name, values in zip(columns.kept, kept, strict=True)}


def unpack_parquet(data: ContainerBytes) -> Iterator[bytes]:
    """Yield the bytes of the images of a Parquet file. Raises as `list_parquet`."""
    try:
        file = _open(data)
        columns = _choose_columns(file, data)
        for batch in file.batches([columns.image]):
            yield from filter(None, _values(batch, columns.image))
    except InvalidParquetError as error:
        raise damaged(data, escape_for_display(str(error))) from error


def _open(data: ContainerBytes) -> ParquetStream:
    return ParquetStream(data.read, data.container.size_bytes)


def _choose_columns(file: ParquetStream, data: ContainerBytes) -> _Columns:
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
    names = _class_names(file.metadata)
    label = _choose_label(file, names, data)
    return _Columns(
        f"{image}.bytes" if is_struct else image,
        f"{image}.path" if has_path else None,
        label,
        dict(enumerate(names.get(label or "", ()))),
        _choose_kept(file, {image, label or image}, data),
    )


def _choose_kept(
    file: ParquetStream, used: Collection[str], data: ContainerBytes
) -> tuple[str, ...]:
    """Return the columns to keep. Raises UsageError if one does not exist, or has no texts."""
    kinds = {field.name: field.type for field in file.schema}
    for name in data.wanted.kept:
        if name not in kinds or not _has_texts(kinds[name]):
            raise UsageError(
                "--keep-columns names a column of the Parquet file that does not hold text, numbers"
                " or booleans"
                if name in kinds
                else "--keep-columns is not a column of the Parquet file",
                path=data.shown,
                expected=_shown([name for name, kind in kinds.items() if _has_texts(kind)]),
                got=escape_for_display(name),
            )
    return tuple(
        name for name, kind in kinds.items() if _has_texts(kind) and data.wanted.keeps(name, used)
    )


def _choose_label(
    file: ParquetStream, names: Mapping[str, list[str]], data: ContainerBytes
) -> str | None:
    fields = {field.name: field.type for field in file.schema}
    given = data.wanted.label
    if given is not None:
        if given not in fields or not _is_label(fields[given]):
            raise UsageError(
                "--label-column names a column of the Parquet file that holds neither texts nor"
                " integers"
                if given in fields
                else "--label-column is not a column of the Parquet file",
                path=data.shown,
                expected=_shown(file.schema.names),
                got=escape_for_display(given),
            )
        return given
    declared = [name for name in names if name in fields]
    is_list_allowed = data.wanted.is_multi_label
    named = [
        name
        for name, kind in fields.items()
        if name.lower() in _LABEL_NAMES
        and _is_label(kind)
        and (is_list_allowed or not is_list(kind))
    ]
    return _only(declared or named, _LABEL_NAMES, "label", data)


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
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)
    return any(test(_element_type(kind)) for test in tests)


def _has_texts(kind: pa.DataType) -> bool:
    tests = (_is_label, pa.types.is_floating, pa.types.is_boolean)
    return any(test(_element_type(kind)) for test in tests)


def _shown(names: list[str]) -> str:
    return ", ".join(map(escape_for_display, names[:10])) or "none"


def _values(batch: pa.RecordBatch, path: str | None) -> list[Any]:
    """Return the values of a column or of a field of one; only None without a column."""
    if path is None:
        return [None] * len(batch)
    name, _, field = path.rpartition(".") if path not in batch.schema.names else (path, "", "")
    column = batch.column(name)
    if field:
        column = pc.struct_field(column, field)
    values: list[Any] = column.to_pylist()
    return values


def _name(path: object) -> bytes | None:
    """Return the path of a row as a key; None if it is not a path inside a folder."""
    if not isinstance(path, str):
        return None
    name = clean_name(path.encode("utf-8", "surrogateescape"))
    return None if name_problem(name) else name


def _label(value: object, names: Mapping[int, str]) -> str | tuple[str, ...]:
    """Return the class name of a value, or those of a list; empty if it is none."""
    if isinstance(value, list):
        labels = (_label(each, names) for each in value)
        return tuple(dict.fromkeys(label for label in labels if isinstance(label, str)))
    if isinstance(value, int) and not isinstance(value, bool):
        return names.get(value, "") if names else str(value)
    return value.strip() if isinstance(value, str) else ""
