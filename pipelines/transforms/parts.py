"""Parts: files with the staged rows of a PCollection.

    the bytes of the images, one after another
    msgpack array of `ImageRow`

A part is written by one bundle of a pipeline, and has a random name: if a runner processes a bundle
twice, only the part of one attempt is passed on. So a row is counted once, and other parts are
removed. Workers that write shards read the images as members of containers: the parts.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import starmap
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines.options import ConvertOptions
from pipelines.sources import Sources
from pipelines.sources.base import SourceFilter
from pipelines.sources.containers.member import Container, Member, known_hash
from pipelines.sources.lists.kept_columns import infer_columns, note_missing_targets, parse_values
from pipelines.sources.lists.sorter import RowSorter
from pipelines.sources.reader import open_file
from pipelines.sources.walk import ListedFile
from pipelines.transforms.rows import ONE_LABEL, ImageRow, RowFields, read_row, row_fields, show_row
from records.errors import CorruptDataError, InputNotFoundError, StorageError, UsageError
from records.format.columns import Columns, pack_values
from records.format.layout import SplitName
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.runtime.row_table import RowTable, iter_rows
from records.storage import Storage, absolute_location, open_storage
from records.storage.urls import join_location
from records.storage.work_folder import PARTS
from records.strict_json import decode_msgpack
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

_PART_BYTES = 32 << 20
_PART_ROWS = 10_000


class Part(NamedTuple):
    """A finished part.

    Attributes:
        name: the name of the file in the folder of parts.
        images_bytes: the number of bytes of all images; the rows begin there.
        size_bytes: the size of the file.
    """

    name: str
    images_bytes: int
    size_bytes: int


class PartWriter:
    """Rows of a bundle, in memory until they are written as a part.

    Args:
        output: the location of the dataset.
        fields: the fields of the rows that depend on the options.
    """

    def __init__(self, output: str, fields: RowFields = ONE_LABEL) -> None:
        self._output = output
        self._fields = fields
        self._clear()

    def _clear(self) -> None:
        self._rows: list[ImageRow] = []
        self._images: list[bytes] = []
        self._images_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the part should be written before another row is added."""
        return self._images_bytes >= _PART_BYTES or len(self._rows) >= _PART_ROWS

    def add(self, element: Any) -> None:
        """Add a row. Raises UsageError if the row is invalid."""
        row, image = read_row(element, self._fields)
        if image is not None:
            digest = xxhash.xxh3_128_digest(image)
            row = msgspec.structs.replace(
                row,
                size_bytes=len(image),
                fingerprint=int.from_bytes(digest[:8], "big"),
                offset=self._images_bytes,
                xxh3_128=digest,
            )
            self._images.append(image)
            self._images_bytes += len(image)
        self._rows.append(row)

    def write(self) -> Part | None:
        """Write the rows that were added since the last call; return None if there are none.

        Raises:
            OutputError: the output cannot be written.
            StorageError: storage failed after retries.
        """
        if not self._rows:
            return None
        threads = IO_THREADS if any(row.url is not None for row in self._rows) else 0
        rows = msgspec.msgpack.encode([*parallel_map(_find, self._rows, threads=threads)])
        part = Part(secrets.token_hex(8), self._images_bytes, self._images_bytes + len(rows))
        with open_storage(self._output).create(f"{PARTS}/{part.name}") as stream:
            for image in self._images:
                stream.write(image)
            stream.write(rows)
        self._clear()
        return part


def _find(row: ImageRow) -> ImageRow:
    """Return a row with the size and the fingerprint of the file at its URL, if there is one."""
    if row.url is None:
        return row
    folder, name = open_file(row.url)
    file = folder.find(name, follow_symlinks=True)
    if file is None:
        return row
    return msgspec.structs.replace(row, size_bytes=file.size_bytes, fingerprint=file.fingerprint)


def remove_parts(output: Storage, parts: Sequence[Part], *, others: bool = False) -> None:
    """Remove these parts or, with `others`, all parts except these."""
    names = {f"{PARTS}/{part.name}" for part in parts}
    for name in output.list(PARTS):
        if (name in names) != others:
            output.remove(name)


class _StagedRow(NamedTuple):
    """A row as `Sources` needs it; `member` is the place of its bytes in a part."""

    key: bytes
    labels: list[str]
    split: SplitName | None
    group: bytes | None
    url: str | None
    size_bytes: int | None
    fingerprint: int
    kept: list[str]
    member: bytes | None


_COLUMNS = pa.schema(
    {
        "key": pa.large_binary(),
        "labels": pa.list_(pa.large_string()),
        "split": pa.string(),
        "group": pa.large_binary(),
        "url": pa.large_string(),
        "size_bytes": pa.int64(),
        "fingerprint": pa.uint64(),
        "kept": pa.list_(pa.large_string()),
        "member": pa.large_binary(),
    }
)


def list_parts(
    parts: Sequence[Part], options: ConvertOptions, source_filter: SourceFilter
) -> Sources:
    """Return the images of parts; the result depends on their rows, not on the parts.

    Raises:
        InputNotFoundError: there are no rows.
        UsageError: no row has a label, two rows of one key differ, or class names collide or do not
            match `labels` or `classes`.
        StorageError: a part is missing, or storage failed after retries.
    """
    output = open_storage(options.output)
    if not parts:
        raise InputNotFoundError(
            "no rows to write: the PCollection is empty", path=output.url, expected="images"
        )
    table = RowTable(_StagedRow, _COLUMNS)
    read = partial(_read_rows, output)
    threads = 0 if output.is_local else IO_THREADS
    for number, rows in enumerate(parallel_map(read, parts, threads=threads)):
        for row in rows:
            table.append(_to_staged(row, number))
    sources = _sort(table.sort("key"), options, source_filter)
    sources.location, sources.containers = locate_parts(options.output, parts)
    return sources


def locate_parts(output: str, parts: Sequence[Part]) -> tuple[str, tuple[Container, ...]]:
    """Return the folder of parts, and the parts as containers, for `open_images`."""
    containers = (Container(part.name.encode(), part.size_bytes, 0, is_own=True) for part in parts)
    return join_location(absolute_location(output), PARTS), tuple(containers)


def _read_rows(output: Storage, part: Part) -> list[ImageRow]:
    name = f"{PARTS}/{part.name}"
    rows_bytes = part.size_bytes - part.images_bytes
    try:
        return decode_msgpack(
            output.read_range(name, part.images_bytes, rows_bytes), list[ImageRow]
        )
    except FileNotFoundError:
        what = (
            "a part of this run is missing: this worker does not see the output of others, or a"
            " failed attempt, another run or `shardmill clean` has removed it"
        )
    except (msgspec.DecodeError, CorruptDataError):
        what = "a part of this run is damaged"
    raise StorageError(
        what,
        path=output.display_name(name),
        hint="make the output accessible to all workers, write to it from one pipeline at a time,"
        " and run the same pipeline again",
    )


def _to_staged(row: ImageRow, part: int) -> _StagedRow:
    member = None
    if row.xxh3_128 is not None:
        place = Member(part, row.offset, row.size_bytes or 0, xxh3_128=row.xxh3_128)
        member = place.encode()
    fields = (row.key, [*row.labels], row.split, row.group, row.url)
    return _StagedRow(*fields, row.size_bytes, row.fingerprint, [*row.kept], member)


def _sort(rows: pa.Table, options: ConvertOptions, source_filter: SourceFilter) -> Sources:
    """Sort rows in key order into images, rejects and excluded images."""
    path = escape_for_display(options.output)
    labels = sorted(pc.unique(pc.list_flatten(rows["labels"])).to_pylist())
    if not labels and source_filter.given_labels is None and source_filter.classes is None:
        raise UsageError("no row has a label", path=path, expected="the class in the field label")
    if not options.keeps_groups and rows["group"].null_count < len(rows):
        raise UsageError(
            "exact counts and stratify need rows without groups: groups are never divided",
            path=path,
            hint="use fractions: test=0.2",
        )
    sorter = RowSorter(labels, options, source_filter, path=path)
    columns = sorter.sources.columns = _columns(rows, options)
    repeated = 0
    targets = []
    fields = row_fields(options)
    previous: _StagedRow | None = None
    for row in starmap(_StagedRow, iter_rows(rows, *_StagedRow._fields)):
        if previous is not None and row.key == previous.key:
            _require_equal(previous, row)
            repeated += 1
            continue
        previous = row
        if fields.target is not None:
            targets.append(row.kept[fields.kept.index(fields.target)])
        sorter.add(
            row.key,
            tuple(row.labels),
            partial(_file, row),
            split=row.split,
            group=row.group,
            url=row.url,
            columns=partial(_pack_columns, row, columns),
        )
    if fields.target is not None:
        sorter.sources.notes += note_missing_targets(targets, fields.target, path)
    if repeated:
        sorter.sources.notes.append(
            f"{pluralize(repeated, 'row')} twice; each image is stored once"
        )
    return sorter.sources


def _columns(rows: pa.Table, options: ConvertOptions) -> Columns:
    """Return the columns that the records keep, with the types that all rows give them."""
    texts = {
        name: pc.unique(pc.list_element(rows["kept"], number)).to_pylist()
        for number, name in enumerate(row_fields(options).kept)
    }
    return infer_columns(texts, [options.target_column])


def _pack_columns(row: _StagedRow, columns: Columns) -> bytes | None:
    return pack_values(parse_values(columns, row.kept, show_row(row.key))) if columns else None


def _file(row: _StagedRow) -> ListedFile | None:
    if row.size_bytes is None:
        return None
    return ListedFile(row.key, row.size_bytes, row.fingerprint, member=row.member)


def _require_equal(first: _StagedRow, second: _StagedRow) -> None:
    """Raise UsageError if two rows of one key differ."""
    for what, one, other in _compare(first, second):
        if one != other:
            texts = (", ".join(it) if isinstance(it, list) else it for it in (one, other))
            shown = sorted(escape_for_display(text or "none") for text in texts)
            raise UsageError(
                f"two rows of one key have different {what}",
                path=show_row(first.key),
                got=" and ".join(shown),
                hint="make the keys of different images different, and remove other duplicates",
            )


def _compare(first: _StagedRow, second: _StagedRow) -> Iterator[tuple[str, Any, Any]]:
    yield "labels", first.labels, second.labels
    yield "values to keep", first.kept, second.kept
    yield "splits", first.split, second.split
    yield "groups", _show_group(first), _show_group(second)
    yield "URIs", first.url, second.url
    yield "images", _show_hash(first), _show_hash(second)


def _show_group(row: _StagedRow) -> str | None:
    return None if row.group is None else os.fsdecode(row.group)


def _show_hash(row: _StagedRow) -> str | None:
    known = known_hash(row.member)
    return None if known is None else f"XXH3-128 {known.hex()}"
