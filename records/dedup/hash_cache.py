"""Cache of perceptual hashes, one Parquet file per shard.

The files are in the folder `hashes`. The footer of each file contains the xxh3-128 of the shard and
the name of the hash method. If the shard or the method has changed, the file is ignored and
replaced.

A shard without saved hashes is read once, from start to end, by one of several processes. Threads
decode and hash its images, a few chunks ahead: only the hashes take memory in proportion to the
dataset.
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
from records.runtime.parallel_map import parallel_map
from records.runtime.processes import divide_cpus, process_map
from records.storage import is_in_memory
from records.storage.local import LocalStorage
from records.strict_json import decode_json
from records.untrusted_parquet import read_untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from records.dataset import Dataset, Record
    from records.format.manifest import ShardInfo
    from records.runtime.shard_worker import ProgressCallback
    from records.storage import Storage


_CHUNK_IMAGES = 32
_CHUNK_BYTES = 4 << 20
# Approximate seconds of one CPU per image and per byte of a shard.
_SECONDS_PER_IMAGE, _SECONDS_PER_BYTE = 1e-3, 10e-9
_NO_HASHES = np.zeros((WINDOWS, WORDS), np.uint64)


@dataclass
class DatasetHasher:
    """Computation of the perceptual hashes of a dataset; hashes in the cache are reused.

    Attributes:
        dataset: an open dataset.
        on_images: a callback that receives the number of images in each batch whose hashes were
            computed or read.
        processes: the number of processes that hash shards; None if it follows from the CPUs and
            the work.
        save_error: the error of the first save that failed; no more hashes are saved after it.
    """

    dataset: Dataset
    on_images: Callable[[int], object] = lambda _images: None
    processes: int | None = None
    save_error: ShardmillError | None = field(default=None, init=False)

    def run(self) -> Hashes:
        """Return the hashes of all images, split by split in the order of `SPLITS`.

        Raises:
            CorruptDataError: a shard is damaged or missing.
        """
        shards = [
            shard
            for name in SPLITS
            if name in self.dataset
            for shard in self.dataset[name].info.shards
        ]
        saved = [self._read_saved(shard) for shard in shards]
        missing = [shard for shard, found in zip(shards, saved, strict=True) if found is None]
        computed = self._compute(missing)
        hashes = [
            self._save(shard, next(computed)) if found is None else found
            for shard, found in zip(shards, saved, strict=True)
        ]
        return concatenate([Hashes.empty(), *hashes])

    def _read_saved(self, shard: ShardInfo) -> Hashes | None:
        saved = read_hashes(self.dataset.storage, shard)
        if saved is not None:
            self.on_images(shard.records)
        return saved

    def _compute(self, shards: Sequence[ShardInfo]) -> Iterator[Hashes]:
        """Yield the hashes of each shard, which several processes compute."""
        seconds = sum(
            _SECONDS_PER_IMAGE * shard.records + _SECONDS_PER_BYTE * shard.bytes for shard in shards
        )
        processes = 1 if is_in_memory(self.dataset.path) else self.processes
        division = divide_cpus(len(shards), seconds, processes=processes)
        return process_map(
            _ShardHasher(self.dataset, division.threads),
            [shard.name for shard in shards],
            processes=division.processes,
            on_progress=self.on_images,
        )

    def _save(self, shard: ShardInfo, hashes: Hashes) -> Hashes:
        """Save the hashes of a shard, unless an earlier save has failed; return the hashes."""
        if self.save_error is None:
            try:
                save_hashes(self.dataset.storage, shard, hashes)
            except (OutputError, StorageError) as error:
                self.save_error = error
        return hashes


class _ShardHasher:
    """Computes the hashes of a shard, given by its name; it is sent to other processes."""

    def __init__(self, dataset: Dataset, threads: int) -> None:
        self._dataset = dataset
        self._threads = threads
        self._shards = dataset.shards()

    def __call__(self, name: str, count: ProgressCallback) -> Hashes:
        """Return the hashes. Raises CorruptDataError."""
        split, number = self._shards[name]
        records = self._dataset[split]
        found = [Hashes.empty()]
        for hashes in parallel_map(
            _hash_chunk, _chunks(records.iter_indexed_shard(number)), threads=self._threads
        ):
            found.append(hashes)
            count(len(hashes.states))
        hashes = concatenate(found)
        expected = records.info.shards[number].records
        if len(hashes.states) != expected:
            raise CorruptDataError(
                "the number of records in a shard does not match the manifest",
                path=self._dataset.storage.display_name(name),
                expected=expected,
                got=len(hashes.states),
                hint="run `shardmill verify` on the dataset",
            )
        return hashes


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
        OutputError: the folder of the dataset cannot be written to, or contains another file of
            this name.
        StorageError: storage failed after retries.
    """
    name = phash_name(shard.name)
    if storage.stat(name) is not None and not _is_hash_file(storage, name):
        raise OutputError(
            "the file contains no hashes: shardmill did not write it, or it is damaged",
            path=storage.display_name(name),
            hint="move the file away, so that hashes can be saved",
        )
    try:
        storage.replace(name, _encode(shard, hashes))
    finally:
        if isinstance(storage, LocalStorage):
            storage.remove_unused_staging()


def _is_hash_file(storage: Storage, name: str) -> bool:
    """Return whether a file has the footer of a file of hashes, of any shard and method."""
    try:
        return _FACTS in (pq.read_schema(io.BytesIO(storage.read(name))).metadata or {})
    except (CorruptDataError, pa.ArrowException, OSError, ValueError):
        return False


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
