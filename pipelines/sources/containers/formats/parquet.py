"""Images in the rows of Parquet files, as Hugging Face stores them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash

from pipelines.sources.cells import Row, require_short
from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import (
    Entry,
    Label,
    clean_name,
    image_extension,
    name_problem,
    refuse,
)
from pipelines.sources.containers.formats.parquet_columns import (
    ParquetColumns,
    choose_columns,
    choose_image,
)
from pipelines.sources.containers.formats.parquet_values import (
    column_cells,
    column_values,
    image_content,
    image_values,
)
from pipelines.sources.containers.member import Member
from pipelines.sources.containers.wanted import WantedFields
from pipelines.sources.one_hot import read_one_hot
from pipelines.sources.reader import HEAD_BYTES
from records.runtime.malloc import reuse_blocks
from records.storage.staging import UnnamedFile
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.untrusted_parquet import InvalidParquetError, ParquetStream


class _Row(NamedTuple):
    """A row: its number, the values of its image, path and label, and its cells."""

    number: int
    image: memoryview | None
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
        batches = file.batches(columns.paths)
        if data.copy is not None:
            batches = _copied(batches, columns.image, data.copy)
        for row in _rows(batches, columns, data.wanted):
            entry = _entry(data, row, columns, stem, offset)
            offset += entry.size_bytes
            del row  # with its batch
            yield entry
    except InvalidParquetError as error:
        raise damaged(data, escape_for_display(str(error))) from error
    if data.copy is not None:
        data.copy.finish()


def _copied(
    batches: Iterable[pa.RecordBatch], image: str, copy: UnnamedFile
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        copy.write(image_content(batch, image))
        yield batch
        del batch


def _rows(
    batches: Iterable[pa.RecordBatch], columns: ParquetColumns, wanted: WantedFields
) -> Iterator[_Row]:
    label = columns.labels[0] if len(columns.labels) == 1 else None
    classes = columns.labels if label is None else ()
    number = 0
    for batch in batches:
        found = zip(
            image_values(batch, columns.image),
            column_values(batch, columns.path),
            column_values(batch, label),
            column_cells(batch, classes),
            _kept_cells(batch, columns, wanted),
            strict=True,
        )
        for values in found:
            yield _Row(number, *values)
            number += 1
            del values
        del batch, found  # before the next batch is decoded


def _kept_cells(
    batch: pa.RecordBatch, columns: ParquetColumns, wanted: WantedFields
) -> Iterator[Row]:
    if not columns.kept:
        yield from repeat(columns.unread, len(batch))
        return
    values = [column_values(batch, path) for path in columns.kept]
    for number in range(len(batch)):
        row = {name: each[number] for name, each in zip(columns.kept, values, strict=True)}
        yield {**columns.unread, **wanted.cells(row, ())}


def _entry(
    data: ContainerBytes, row: _Row, columns: ParquetColumns, stem: bytes, offset: int
) -> Entry:
    if row.kept:
        require_short(row.kept, _place(data, row))
    name = _name(row.path)
    if row.image is None:
        return refuse(name or b"%s/%08d" % (stem, row.number), "its row has no bytes")
    key = name or b"%s/%08d%s" % (stem, row.number, image_extension(bytes(row.image[:HEAD_BYTES])))
    digest = xxhash.xxh3_128_digest(row.image)
    label, problem = _read_label(data, row, columns)
    return Entry(
        key,
        len(row.image),
        int.from_bytes(digest[:8], "big"),
        Member(data.number, offset, len(row.image), xxh3_128=digest),
        label=label,
        fields=row.kept,
        class_columns=columns.labels if len(columns.labels) > 1 else (),
        problem=problem,
    )


def _read_label(
    data: ContainerBytes, row: _Row, columns: ParquetColumns
) -> tuple[Label | None, str | None]:
    """Return the label of a row, and why it is unknown. Raises UsageError."""
    if not columns.labels:
        return "" if data.wanted.is_label_optional else None, None
    if len(columns.labels) > 1:
        return tuple(read_one_hot(row.classes, row.classes.keys(), _place(data, row))), None
    return _label(row.label, columns.names), _label_problem(row.label, columns.names)


def _place(data: ContainerBytes, row: _Row) -> str:
    return f"{data.shown} row {row.number + 1}"


def unpack_parquet(data: ContainerBytes) -> Iterator[bytes]:
    """Yield the bytes of the images of a Parquet file. Raises as `list_parquet`."""
    try:
        file = _open(data)
        columns = choose_image(file, data)
        # With one piece per batch, there are few writes.
        pieces = (
            b"".join(filter(None, image_values(batch, columns.image)))
            for batch in file.batches([columns.image])
        )
        yield from filter(None, reuse_blocks(pieces))
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
