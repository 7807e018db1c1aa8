"""The index of a shard: a Parquet file with a row a record, and the shard's facts in its footer.

With it the length, any record, counts, duplicates and exact step numbers are known without reading
the shard. It is written after its shard, so that an index there means a finished shard there.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from records.errors import DamagedError
from records.layout import Split
from records.shard import Position
from records.storage import Storage

FORMAT_VERSION = 1
_FACTS = b"shardmill"

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("stored_bytes", pa.int64(), nullable=False),
        pa.field("format", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("channels", pa.int8(), nullable=False),
        pa.field("source_bytes", pa.int64(), nullable=False),
        pa.field("source_xxh3_128", pa.string(), nullable=False),
        pa.field("changes", pa.list_(pa.string()), nullable=False),
    ]
)


class IndexRow(NamedTuple):
    """One record: its key as text, where its frame lies (bytes), and what its image is."""

    key: str
    label: int
    offset: int
    length: int
    stored_bytes: int
    format: str
    width: int
    height: int
    channels: int
    source_bytes: int
    source_xxh3_128: str
    changes: tuple[str, ...]


class Reject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image that was found and not stored; key and class as text, `bytes` of its file."""

    key: str
    class_name: str | None = msgspec.field(name="class")
    reason: str
    detail: str
    bytes: int


class ShardFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be known of a finished shard; `class_records` counts its records by label."""

    name: str
    split: Split
    plan_digest: str
    records: int
    bytes: int
    xxh3_128: str
    class_records: dict[int, int]
    rejects: tuple[Reject, ...] = ()
    format_version: int = FORMAT_VERSION


class Index:
    """A shard's index in memory."""

    def __init__(self, facts: ShardFacts, table: pa.Table) -> None:
        self.facts = facts
        self.table = table
        self._offsets = table["offset"].to_numpy()
        self._lengths = table["length"].to_numpy()

    def __len__(self) -> int:
        return len(self._offsets)

    def position(self, record: int) -> Position:
        """Where the frame of a record lies."""
        return Position(int(self._offsets[record]), int(self._lengths[record]))

    def find(self, offset: int) -> int | None:
        """The number of the record whose frame begins at `offset`."""
        place = int(self._offsets.searchsorted(offset))
        return place if place < len(self) and self._offsets[place] == offset else None

    def rows(self, start: int = 0, stop: int | None = None) -> list[IndexRow]:
        """All rows, or those from `start` up to `stop`, as Python values."""
        part = self.table.slice(start, None if stop is None else stop - start)
        columns: list[list[Any]] = [part[name].to_pylist() for name in SCHEMA.names]
        *scalars, changes = columns
        return [IndexRow(*row) for row in zip(*scalars, map(tuple, changes), strict=True)]


def encode_index(facts: ShardFacts, rows: Sequence[IndexRow]) -> bytes:
    """The Parquet file of a shard's index: the same bytes for the same rows and facts."""
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    arrays = [
        pa.array(values, type=field.type) for values, field in zip(columns, SCHEMA, strict=True)
    ]
    metadata = {_FACTS: msgspec.json.encode(facts)}
    table = pa.Table.from_arrays(arrays, schema=SCHEMA.with_metadata(metadata))
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd", write_page_checksum=True)
    return content.getvalue()


def read_index(storage: Storage, name: str) -> Index:
    """A shard's index.

    Raises:
        DamagedError: it is not such a file, or holds something else.
        FileNotFoundError: there is none.
    """
    content = storage.read(name)
    path = storage.describe(name)
    try:
        table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    facts = _facts(table.schema.metadata, path)
    if table.schema.names != SCHEMA.names:
        raise DamagedError(
            "the index has other columns",
            path=path,
            expected=", ".join(SCHEMA.names),
            got=", ".join(table.schema.names),
        )
    return Index(facts, _typed(table, path))


def read_facts(storage: Storage, name: str) -> ShardFacts:
    """The facts in the footer of a shard's index, without its rows. Raises as `read_index`."""
    path = storage.describe(name)
    with storage.open(name) as stream:
        try:
            metadata = pq.read_metadata(stream).metadata
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(path, error) from error
    return _facts(metadata, path)


def _typed(table: pa.Table, path: str) -> pa.Table:
    try:
        return table.replace_schema_metadata(None).cast(SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        raise _damaged(path, error) from error


def _facts(metadata: dict[bytes, bytes] | None, path: str) -> ShardFacts:
    encoded = (metadata or {}).get(_FACTS)
    if encoded is None:
        raise DamagedError("the index holds no facts of a shard", path=path)
    try:
        return msgspec.json.decode(encoded, type=ShardFacts)
    except msgspec.DecodeError as error:
        raise _damaged(path, error) from error


def _damaged(path: str, error: Exception) -> DamagedError:
    return DamagedError("the index is damaged", path=path, got=str(error).partition("\n")[0])
