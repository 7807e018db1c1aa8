"""Index of a shard: a Parquet file with one row per record.

The footer holds a summary of the shard. From the index, a program knows the number and locations of
records, the class counts, the duplicates and the exact number of steps per epoch, and does not read
the shard. The index is written after its shard, so if an index exists, its shard is complete.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from records.errors import CorruptDataError
from records.format.digest import FORMAT_VERSION, FileDigest, digest_of
from records.format.index.labels import LABELS, flat_labels, has_label_lists
from records.format.index.row import COLUMNS, SCHEMA, IndexRow, RowForm, columns_of, index_schema
from records.format.index.summary import ShardSummary
from records.format.layout import index_name
from records.format.manifest import ShardInfo
from records.format.shard import FrameLocation, missing_as_corrupt
from records.format.tfrecord import MAX_RECORD_BYTES, frame_size_bytes
from records.runtime.row_table import RowTable
from records.storage import Storage
from records.strict_json import decode_versioned
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.untrusted_parquet import read_untrusted

_SUMMARY_KEY = b"shardmill"


class Index:
    """The index of a shard, loaded into memory."""

    def __init__(self, summary: ShardSummary, table: pa.Table) -> None:
        self.summary = summary
        self.table = table
        self.is_multi_label = has_label_lists(table)
        has_columns = COLUMNS in table.column_names
        self.columns = columns_of(table.schema.field(COLUMNS)) if has_columns else ()
        self._offsets = table["offset"].to_numpy()
        self._lengths = table["length"].to_numpy()

    def __len__(self) -> int:
        return len(self._offsets)

    def difference_from(self, form: RowForm) -> str | None:
        """Return what differs from the form of the rows of a dataset; None if nothing does."""
        if self.columns != form.columns:
            return "other columns of a list"
        if self.is_multi_label != form.multi_label:
            return "another number of labels per image"
        ends = pc.min_max(flat_labels(self.table)).as_py() if self.is_multi_label else {}
        least, greatest = ends.get("min") or 0, ends.get("max") or 0
        if least < 0 or greatest >= max(form.classes, 1):
            return f"the label {least if least < 0 else greatest}"
        return None

    def require_valid_locations(self, path: str) -> None:
        """Raise CorruptDataError, with `path`, if a row has an impossible offset or length."""
        is_valid = (
            (self._offsets >= 0)
            & (self._lengths >= frame_size_bytes(0))
            & (self._lengths <= frame_size_bytes(MAX_RECORD_BYTES))
        )
        if not is_valid.all():
            record = int(is_valid.argmin())
            raise CorruptDataError(
                "the index has an impossible offset or length", path=path, record=record
            )

    def location(self, record: int) -> FrameLocation:
        """Return the location of the frame of a record."""
        # A memoryview returns Python integers five times as fast as an array.
        return FrameLocation(self._offsets.data[record], self._lengths.data[record])

    @property
    def is_sorted(self) -> bool:
        """Whether each record begins at or after the end of the previous one, as in a shard."""
        ends = self._offsets + self._lengths
        return bool((ends[:-1] <= self._offsets[1:]).all())

    def locations_from(self, offset: int) -> Iterator[FrameLocation]:
        """Yield the locations of the frames that begin at `offset` or after it."""
        for record in range(int(self._offsets.searchsorted(offset)), len(self)):
            yield self.location(record)

    def find(self, offset: int) -> int | None:
        """Return the number of the record whose frame begins at `offset`; None if there is none."""
        number = int(self._offsets.searchsorted(offset))
        return number if number < len(self) and self._offsets[number] == offset else None

    def keys(self, start: int, stop: int) -> tuple[str, ...]:
        """Return the keys of the records in `range(start, stop)`, as text."""
        return tuple(self.table["key"].slice(start, max(stop - start, 0)).to_pylist())

    def rows(self, start: int = 0, stop: int | None = None) -> list[IndexRow]:
        """Return the rows in `range(start, stop)`, by default all rows, as Python values."""
        part = self.table.slice(start, None if stop is None else stop - start)
        values: dict[str, Iterable[Any]] = {
            name: part[name].to_pylist() for name in part.column_names
        }
        values["changes"] = map(tuple, values["changes"])
        labels = map(tuple, values.pop(LABELS, ())) if self.is_multi_label else repeat(None)
        columns = values.pop(COLUMNS, None) or repeat({})
        own = zip(*values.values(), strict=True)
        return [
            IndexRow._make((*row, kept, several))
            for row, kept, several in zip(own, columns, labels, strict=False)
        ]


def encode_index(summary: ShardSummary, rows: RowTable[IndexRow]) -> bytes:
    """Return the Parquet file of an index; equal rows and summaries give equal bytes."""
    table = rows.compact().replace_schema_metadata({_SUMMARY_KEY: msgspec.json.encode(summary)})
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd", write_page_checksum=True)
    return content.getvalue()


def read_index(storage: Storage, name: str) -> Index:
    """Read the index of a shard.

    Raises:
        CorruptDataError: the file is damaged, or is not an index.
        FileNotFoundError: the file is missing.
    """
    return decode_index(storage.read(name), path=storage.display_name(name))


def decode_index(content: bytes, *, path: str) -> Index:
    """Read an index from its bytes. Raises CorruptDataError, with `path`."""
    with _corrupt_if_unreadable(path):
        found = pq.read_schema(io.BytesIO(content))
        has_columns = found.names[-1:] == [COLUMNS]
        schema = index_schema(
            columns_of(found.field(len(found) - 1)) if has_columns else (),
            multi_label=LABELS in found.names,
        )
    summary = _decode_summary(found.metadata, path)
    if found.names != schema.names:
        raise CorruptDataError(
            "the columns of the index are wrong",
            path=path,
            expected=", ".join(SCHEMA.names),
            got=escape_for_display(", ".join(found.names)),
        )
    with _corrupt_if_unreadable(path):
        index = Index(summary, read_untrusted(content, schema))
    index.require_valid_locations(path)
    return index


def read_shard_index(storage: Storage, shard: ShardInfo, form: RowForm | None = None) -> Index:
    """Read the index of a shard that a manifest lists.

    Args:
        storage: the dataset.
        shard: the shard.
        form: the form of the rows of the dataset; None for callers that read neither labels nor
            kept columns.

    Raises:
        CorruptDataError: the file is missing or damaged, or is the index of another shard.
    """
    name = index_name(shard.name)
    path = storage.display_name(name)
    with missing_as_corrupt(storage, name):
        content = storage.read(name)
    if (found := digest_of(content)) != shard.index:
        raise CorruptDataError(
            "the index is damaged, or belongs to another shard",
            path=path,
            expected=f"{pluralize(shard.index.bytes, 'byte')}, SHA-256 {shard.index.sha256}",
            got=f"{pluralize(found.bytes, 'byte')}, SHA-256 {found.sha256}",
            hint="copy the folder `index` together with its shards; `shardmill verify` lists all"
            " damage",
        )
    index = decode_index(content, path=path)
    if len(index) != shard.records:
        raise CorruptDataError(
            "the index has a wrong number of rows",
            path=path,
            expected=f"{pluralize(shard.records, 'row')}, one per record of its shard",
            got=len(index),
        )
    if form is not None and (difference := index.difference_from(form)) is not None:
        raise CorruptDataError("the index does not match the manifest", path=path, got=difference)
    return index


class IndexFile(NamedTuple):
    """The summary in the footer of an index, and the digest of the file."""

    summary: ShardSummary
    digest: FileDigest

    @property
    def info(self) -> ShardInfo:
        """The shard as a manifest lists it."""
        it = self.summary
        return ShardInfo(it.name, it.records, it.bytes, it.xxh3_128, it.sha256, self.digest)


def read_index_file(storage: Storage, name: str) -> IndexFile:
    """Read an index without its rows. Raises as `read_index`."""
    return decode_index_file(storage.read(name), path=storage.display_name(name))


def decode_index_file(content: bytes, *, path: str) -> IndexFile:
    """Read an index without its rows from its bytes. Raises CorruptDataError, with `path`."""
    with _corrupt_if_unreadable(path):
        metadata = pq.read_metadata(io.BytesIO(content)).metadata
    return IndexFile(_decode_summary(metadata, path), digest_of(content))


def _decode_summary(metadata: dict[bytes, bytes] | None, path: str) -> ShardSummary:
    encoded = (metadata or {}).get(_SUMMARY_KEY)
    if encoded is None:
        raise CorruptDataError("the index has no summary of a shard", path=path)
    return decode_versioned(
        encoded, ShardSummary, version=FORMAT_VERSION, what="the summary of an index", path=path
    )


@contextmanager
def _corrupt_if_unreadable(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        got = escape_for_display(str(error).partition("\n")[0])
        raise CorruptDataError("the index is damaged", path=path, got=got) from error
