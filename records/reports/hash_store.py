"""A shard's picture hashes, computed and kept: a Parquet file a shard, in the folder `hashes`.

Its footer has the xxh3-128 of the shard and the name of the method. Where either is another, the
file is as good as absent: it is never stale, and computing it again replaces it whole.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from records.layout import hashes_name
from records.new_file import tidy
from records.reports.picture_hashes import METHOD, WINDOWS, WORDS
from records.untrusted import decode_json
from records.untrusted_parquet import read_untrusted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from records.manifest import Shard
    from records.storage import Storage

State = Literal["hashed", "flat", "undecodable"]
STATES: tuple[State, ...] = ("hashed", "flat", "undecodable")

_FACTS = b"shardmill"
_HASH_BYTES = 8 * WINDOWS * WORDS
_SCHEMA = pa.schema(
    [
        pa.field("state", pa.string(), nullable=False),
        pa.field("hashes", pa.binary(_HASH_BYTES), nullable=False),
    ]
)


class Hashes(NamedTuple):
    """What is known of pictures, in the order of their records.

    Attributes:
        states: uint8, places in `STATES`.
        words: uint64 of shape (pictures, WINDOWS, WORDS), zeros where the state is not `hashed`.
    """

    states: NDArray[np.uint8]
    words: NDArray[np.uint64]

    @classmethod
    def none(cls) -> Hashes:
        """Of no pictures."""
        return cls(np.empty(0, np.uint8), np.empty((0, WINDOWS, WORDS), np.uint64))


class _HashFacts(msgspec.Struct, frozen=True):
    """The footer: which shard, and by what its pictures were hashed."""

    shard_xxh3_128: str
    method: str


def read_hashes(storage: Storage, shard: Shard) -> Hashes | None:
    """What was kept of this very shard; None where nothing was, or nothing that can be read."""
    try:
        content = storage.read(hashes_name(shard.name))
        facts = pq.read_schema(io.BytesIO(content)).metadata or {}
        if decode_json(facts.get(_FACTS, b""), _HashFacts) != _facts_of(shard):
            return None
        hashes = _from_table(read_untrusted(content, _SCHEMA))
    except (FileNotFoundError, msgspec.DecodeError, pa.ArrowException, OSError, ValueError):
        return None
    return hashes if len(hashes.states) == shard.records else None


def keep_hashes(storage: Storage, shard: Shard, hashes: Hashes) -> None:
    """Write a shard's hashes, whole or not at all.

    Raises:
        TargetError: the dataset cannot be written.
        StorageError: storage failed after retries.
    """
    try:
        storage.replace(hashes_name(shard.name), _encode(shard, hashes))
    finally:
        tidy(storage)


def join_hashes(parts: Sequence[Hashes]) -> Hashes:
    """The hashes of shards one after another."""
    return Hashes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _facts_of(shard: Shard) -> _HashFacts:
    return _HashFacts(shard.xxh3_128, METHOD)


def _encode(shard: Shard, hashes: Hashes) -> bytes:
    states = np.array(STATES)[hashes.states]
    words = np.ascontiguousarray(hashes.words).astype("<u8").tobytes()
    buffers = [None, pa.py_buffer(words)]
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_HASH_BYTES), len(states), buffers)
    metadata = {_FACTS: msgspec.json.encode(_facts_of(shard))}
    schema = _SCHEMA.with_metadata(metadata)
    table = pa.Table.from_arrays([pa.array(states.tolist(), pa.string()), column], schema=schema)
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd", write_page_checksum=True)
    return content.getvalue()


def _from_table(table: pa.Table) -> Hashes:
    """Raises ValueError for a state that there is not."""
    states = [STATES.index(state) for state in table["state"].to_pylist()]
    content = b"".join(table["hashes"].to_pylist())
    words = np.frombuffer(content, "<u8").astype(np.uint64)
    return Hashes(np.array(states, np.uint8), words.reshape(len(states), WINDOWS, WORDS))
