"""The hashes of every picture of a dataset: those that were kept, and new ones where none were.

A shard is read once from its beginning, its images decoded and hashed on threads, a few chunks
ahead: what grows with the dataset is the hashes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from records.ahead import map_ahead
from records.cores import count_cores
from records.errors import DamagedError, ShardmillError, StorageError, TargetError
from records.images.reduced import shrink_stored
from records.layout import SPLITS
from records.reports.hash_store import (
    STATES,
    Hashes,
    State,
    join_hashes,
    keep_hashes,
    read_hashes,
)
from records.reports.picture_hashes import SIDE_PX, WINDOWS, WORDS, hash_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from records.dataset import Dataset, Record, RecordSplit
    from records.manifest import Shard

_CHUNK_IMAGES = 32
_CHUNK_BYTES = 4 << 20
_NO_HASHES = np.zeros((WINDOWS, WORDS), np.uint64)


@dataclass
class PictureHashing:
    """Hashes a dataset's pictures.

    Attributes:
        dataset: an open dataset.
        on_images: told of so many more images whose hashes are there.
        not_kept: why the first new hashes could not be kept; then no more are tried.
    """

    dataset: Dataset
    on_images: Callable[[int], object] = lambda _images: None
    not_kept: ShardmillError | None = field(default=None, init=False)

    def run(self) -> Hashes:
        """The hashes of all pictures, split after split in the order of `SPLITS`.

        Raises:
            DamagedError: a shard is damaged or missing.
        """
        splits = [self.dataset[name] for name in SPLITS if name in self.dataset]
        shards = [
            self._hash_shard(split, number)
            for split in splits
            for number in range(len(split.facts.shards))
        ]
        return join_hashes([Hashes.none(), *shards])

    def _hash_shard(self, split: RecordSplit, number: int) -> Hashes:
        shard = split.facts.shards[number]
        kept = read_hashes(self.dataset.storage, shard)
        if kept is not None:
            self.on_images(shard.records)
            return kept
        hashes = join_hashes([Hashes.none(), *self._hash_chunks(split.shard_records(number))])
        if len(hashes.states) != shard.records:
            raise DamagedError(
                "a shard has not as many records as the manifest says",
                path=self.dataset.storage.describe(shard.name),
                expected=shard.records,
                got=len(hashes.states),
                hint="`shardmill verify` says what is wrong",
            )
        self._keep(shard, hashes)
        return hashes

    def _hash_chunks(self, records: Iterable[Record]) -> Iterator[Hashes]:
        for hashes in _hash_ahead(records):
            self.on_images(len(hashes.states))
            yield hashes

    def _keep(self, shard: Shard, hashes: Hashes) -> None:
        if self.not_kept is None:
            try:
                keep_hashes(self.dataset.storage, shard, hashes)
            except (TargetError, StorageError) as error:
                self.not_kept = error


def _hash_ahead(records: Iterable[Record]) -> Iterator[Hashes]:
    return map_ahead(_hash_chunk, _chunks(records), threads=count_cores())


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
    # An image that was stored unchecked (`--check header`) may not decode; `verify` says so.
    try:
        pixels = shrink_stored(
            record.image,
            record.format,
            record.width,
            record.height,
            record.channels,
            side_px=SIDE_PX,
        )
    except DamagedError:
        return "undecodable", _NO_HASHES
    words = hash_picture(pixels)
    return ("flat", _NO_HASHES) if words is None else ("hashed", words)
