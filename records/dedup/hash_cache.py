"""Cache of perceptual hashes, one Parquet file per shard.

The files are in the folder `hashes`. The footer of each file contains the xxh3-128 of the shard and
the name of the hash method. If the shard or the method has changed, the file is ignored and
replaced.

A shard without saved hashes is read once, from start to end. Threads decode and hash the images, a
few chunks ahead: only the hashes take memory in proportion to the dataset.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from records.dedup.perceptual_hash import METHOD, SIDE_PX, WINDOWS, WORDS, hash_picture
from records.errors import CorruptDataError, OutputError, ShardmillError, StorageError
from records.format.layout import SPLITS, phash_name
from records.images.thumbnail import decode_thumbnail
from records.runtime.cpu import available_cpus
from records.runtime.parallel_map import parallel_map
from records.storage.local import LocalStorage
from records.strict_json import decode_json
from records.untrusted_parquet import read_untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from records.dataset import Dataset, Record, Split
    from records.format.manifest import ShardInfo
    from records.storage import Storage


_CHUNK_IMAGES = 32
_CHUNK_BYTES = 4 << 20
_NO_HASHES = np.zeros((WINDOWS, WORDS), np.uint64)


@dataclass
class DatasetHasher:
    """Computation of the perceptual hashes of a dataset; hashes in the cache are reused.

    Attributes:
        dataset: an open dataset.
        on_images: a callback that receives the number of images in each batch whose hashes were
            computed or read.
        save_error: the error of the first save that failed; no more hashes are saved after it.
    """

    dataset: Dataset
    on_images: Callable[[int], object] = lambda _images: None
    save_error: ShardmillError | None = field(default=None, init=False)

    def run(self) -> Hashes:
        """Return the hashes of all images, split by split in the order of `SPLITS`.

        Raises:
            CorruptDataError: a shard is damaged or missing.
        """
        splits = [self.dataset[name] for name in SPLITS if name in self.dataset]
        shards = [
            self._hash_shard(split, number)
            for split in splits
            for number in range(len(split.info.shards))
        ]
        return concatenate([Hashes.empty(), *shards])

    def _hash_shard(self, split: Split, number: int) -> Hashes:
        shard = split.info.shards[number]
        saved = read_hashes(self.dataset.storage, shard)
        if saved is not None:
            self.on_images(shard.records)
            return saved
        hashes = concatenate([Hashes.empty(), *self._hash_chunks(split.iter_shard(number))])
        if len(hashes.states) != shard.records:
            raise CorruptDataError(
                "the number of records in a shard does not match the manifest",
                path=self.dataset.storage.display_name(shard.name),
                expected=shard.records,
                got=len(hashes.states),
                hint="run `shardmill verify` on the dataset",
            )
        self._save(shard, hashes)
        return hashes

    def _hash_chunks(self, records: Iterable[Record]) -> Iterator[Hashes]:
        for hashes in _hash_in_parallel(records):
            self.on_images(len(hashes.states))
            yield hashes

    def _save(self, shard: ShardInfo, hashes: Hashes) -> None:
        if self.save_error is None:
            try:
                save_hashes(self.dataset.storage, shard, hashes)
            except (OutputError, StorageError) as error:
                self.save_error = error


def _hash_in_parallel(records: Iterable[Record]) -> Iterator[Hashes]:
    return parallel_map(_hash_chunk, _chunks(records), threads=available_cpus())


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    chunk_bytes = 0
    for record in records:
        chunk.append(record)
        chunk_bytes += len(record.image)
        if len(chunk) == _CHUNK_IMAGES or chunk_bytes >= _CHUNK_BYTES:
            yield chunk
            chunk, chunk_bytes = [], 0
    if chunk:
        yield chunk


def _hash_chunk(chunk: list[Record]) -> Hashes:
    found = [_hash_record(record) for record in chunk]
    states = np.array([STATES.index(state) for state, _ in found], np.uint8)
    return Hashes(states, np.stack([words for _, words in found]))


def _hash_record(record: Record) -> tuple[State, NDArray[np.uint64]]:
    # `--check header` may store an image that cannot be decoded; `verify --decode` reports it.
    try:
        pixels = decode_thumbnail(
            record.image,
            record.format,
            record.width,
            record.height,
            record.channels,
            side_px=SIDE_PX,
        )
    except CorruptDataError:
        return "undecodable", _NO_HASHES
    words = hash_picture(pixels)
    return ("flat", _NO_HASHES) if words is None else ("hashed", words)


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
    """States and hashes of images, in the order of their records.

    Attributes:
        states: the state of each image as its position in `STATES`, uint8.
        words: the hashes, uint64 of shape (images, WINDOWS, WORDS); zeros if the state is not
            `hashed`.
    """

    states: NDArray[np.uint8]
    words: NDArray[np.uint64]

    @classmethod
    def empty(cls) -> Hashes:
        """Return empty arrays of states and hashes."""
        return cls(np.empty(0, np.uint8), np.empty((0, WINDOWS, WORDS), np.uint64))


class _HashFileInfo(msgspec.Struct, frozen=True):
    """The content of the footer: the hash of the shard, and the hash method."""

    shard_xxh3_128: str
    method: str


def read_hashes(storage: Storage, shard: ShardInfo) -> Hashes | None:
    """Return the saved hashes of a shard; None if the file is missing, outdated or unreadable."""
    try:
        content = storage.read(phash_name(shard.name))
        facts = pq.read_schema(io.BytesIO(content)).metadata or {}
        if decode_json(facts.get(_FACTS, b""), _HashFileInfo) != _facts_of(shard):
            return None
        hashes = _from_table(read_untrusted(content, _SCHEMA))
    except (FileNotFoundError, msgspec.DecodeError, pa.ArrowException, OSError, ValueError):
        return None
    return hashes if len(hashes.states) == shard.records else None


def save_hashes(storage: Storage, shard: ShardInfo, hashes: Hashes) -> None:
    """Save the hashes of a shard, completely or not at all.

    Raises:
        OutputError: the folder of the dataset cannot be written to.
        StorageError: storage failed after retries.
    """
    try:
        storage.replace(phash_name(shard.name), _encode(shard, hashes))
    finally:
        if isinstance(storage, LocalStorage):
            storage.remove_unused_staging()


def concatenate(parts: Sequence[Hashes]) -> Hashes:
    """Concatenate the hashes of consecutive parts of a dataset."""
    return Hashes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _facts_of(shard: ShardInfo) -> _HashFileInfo:
    return _HashFileInfo(shard.xxh3_128, METHOD)


def _encode(shard: ShardInfo, hashes: Hashes) -> bytes:
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
    """Return the hashes in a table. Raises ValueError for an unknown state."""
    states = [STATES.index(state) for state in table["state"].to_pylist()]
    content = b"".join(table["hashes"].to_pylist())
    words = np.frombuffer(content, "<u8").astype(np.uint64)
    return Hashes(np.array(states, np.uint8), words.reshape(len(states), WINDOWS, WORDS))
