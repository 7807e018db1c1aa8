"""Images in the rows of Parquet files, as Hugging Face stores them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import xxhash

from pipelines.sources.cells import Row, require_short
from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import (
    Entry,
    clean_name,
    image_extension,
    name_problem,
    refuse,
)
from pipelines.sources.containers.formats.parquet_columns import (
    ParquetColumns,
    choose_columns,
    choose_image,
    column_cells,
    column_values,
)
from pipelines.sources.containers.member import Member
from pipelines.sources.containers.wanted import WantedFields
from pipelines.sources.one_hot import read_one_hot
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.untrusted_parquet import InvalidParquetError, ParquetStream


class _Row(NamedTuple):
    """A row: its number, the values of its image, path and label, and its cells."""

    number: int
    image: Any
    path: Any
    label: Any
    classes: Row
    kept: Row


def list_parquet(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of a Parquet file; offsets are those in `unpack_parquet`.

    Raises:
        CorruptDataError: the file is damaged, or expands too much.
        UsageError: no column, or several ones, can be the image or the label; or a column of
            classes has other values than 0 and 1.
    """
    stem = data.container.key.rpartition(b"/")[2].rpartition(b".")[0]
    offset = 0
    try:
        file = _open(data)
        columns = choose_columns(file, data)
        for row in _rows(file, columns, data.wanted):
            entry = _entry(data, row, columns, stem, offset)
            offset += entry.size_bytes
            yield entry
    except InvalidParquetError as error:
        raise damaged(data, escape_for_display(str(error))) from error


def _rows(file: ParquetStream, columns: ParquetColumns, wanted: WantedFields) -> Iterator[_Row]:
    label = columns.labels[0] if len(columns.labels) == 1 else None
    classes = columns.labels if label is None else ()
    paths = (columns.image, columns.path, label, *columns.kept)
    number = 0
    for batch in file.batches(columns.paths):
        found = zip(*(column_values(batch, path) for path in paths), strict=True)
        cells = column_cells(batch, classes)
        for (image, path, value, *kept), each in zip(found, cells, strict=True):
            row = wanted.cells(dict(zip(columns.kept, kept, strict=True)), ())
            yield _Row(number, image, path, value, each, {**columns.unread, **row})
            number += 1


def _entry(
    data: ContainerBytes, row: _Row, columns: ParquetColumns, stem: bytes, offset: int
) -> Entry:
    where = f"{data.shown} row {row.number + 1}"
    if row.kept:
        require_short(row.kept, where)
    name = _name(row.path)
    if row.image is None:
        return refuse(name or b"%s/%08d" % (stem, row.number), "its row has no bytes")
    key = name or b"%s/%08d%s" % (stem, row.number, image_extension(row.image))
    digest = xxhash.xxh3_128_digest(row.image)
    member = Member(data.number, offset, len(row.image), xxh3_128=digest)
    fingerprint = int.from_bytes(digest[:8], "big")
    entry = Entry(key, len(row.image), fingerprint, member, fields=row.kept)
    if not columns.labels:
        return entry._replace(label="" if data.wanted.is_label_optional else None)
    if len(columns.labels) > 1:
        labels = tuple(read_one_hot(row.classes, row.classes.keys(), where))
        return entry._replace(label=labels, class_columns=columns.labels)
    problem = _label_problem(row.label, columns.names)
    return entry._replace(label=_label(row.label, columns.names), problem=problem)


def unpack_parquet(data: ContainerBytes) -> Iterator[bytes]:
    """Yield the bytes of the images of a Parquet file. Raises as `list_parquet`."""
    try:
        file = _open(data)
        columns = choose_image(file, data)
        for batch in file.batches([columns.image]):
            yield from filter(None, column_values(batch, columns.image))
    except InvalidParquetError as error:
        raise damaged(data, escape_for_display(str(error))) from error


def _open(data: ContainerBytes) -> ParquetStream:
    return ParquetStream(data.read, data.container.size_bytes)


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


def _label_problem(value: object, names: Mapping[int, str]) -> str | None:
    """Return why a value is not that of declared classes; None if it is, or if there are none."""
    numbers = value if isinstance(value, list) else [value]
    unknown = [it for it in numbers if isinstance(it, int) and it not in names] if names else []
    if not unknown:
        return None
    declared = f"the metadata declare {pluralize(len(names), 'class')}, from 0"
    return f"its class number is {unknown[0]}, and {declared}"
