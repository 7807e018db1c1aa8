"""A finished dataset to read: splits by name, records by number, without TensorFlow.

    dataset = open_dataset("data")
    record = dataset["train"][0]
    record.image, record.label, record.class_name, record.key

A split is a sequence, so a PyTorch `DataLoader` takes it as it is.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, islice
from typing import Any, overload

from records.dataset.indexed_records import IndexedRecords
from records.dataset.record import Record, RecordDecoder, decode_record
from records.dataset.worker_slice import ALL_RECORDS, WorkerSlice
from records.errors import CorruptDataError
from records.format.index import Index, IndexRow, read_index
from records.format.label_map import LabelMap
from records.format.layout import SplitName, index_name
from records.format.manifest import Manifest, SplitInfo, read_manifest
from records.format.shard import ShardReader, read_shard, with_path
from records.format.tfrecord import Frame
from records.storage import Storage, open_storage

__all__ = ["Dataset", "Record", "Split", "decode_record", "missing_as_corrupt", "open_dataset"]

_OPEN_SHARDS = 256


class Split(Sequence[Record]):
    """The records of one split, or of one worker's part of it, in the order they are stored in.

    `info` and `iter_shard` are the whole split's.
    """

    def __init__(
        self,
        storage: Storage,
        name: SplitName,
        info: SplitInfo,
        decoder: RecordDecoder,
        part: WorkerSlice = ALL_RECORDS,
    ) -> None:
        self._storage = storage
        self._decoder = decoder
        self._indexes: dict[int, Index] = {}
        self._known: dict[int, IndexedRecords] = {}
        self._readers: dict[int, ShardReader] = {}
        self._ends = list(accumulate(shard.records for shard in info.shards))
        self._places = part.record_range(info.records)
        self.name = name
        self.info = info

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, number: int) -> Record: ...
    @overload
    def __getitem__(self, number: slice) -> list[Record]: ...
    def __getitem__(self, number: int | slice) -> Record | list[Record]:
        """Records by number, by the offsets of the index: one ranged read each."""
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        shard_number, record = self._locate(number)
        known = self._read_via_index(shard_number, record)
        if known is not None:
            return known
        return self._decode(self._read(shard_number, record), shard_number, record)

    def _read_via_index(self, shard_number: int, record: int) -> Record | None:
        """A record as the index tells, of which nothing is decoded.

        None where the index does not fit it, or anything is wrong: decoding it will tell.
        """
        if self._decoder.reads_adopted:
            return None
        known = self._known_records(shard_number)[record]
        if known is None:
            return None
        try:
            reader = self._reader(shard_number)
            before, image, behind = reader.read_in_parts(
                known.offset, known.sizes_bytes, record=record
            )
        except (CorruptDataError, FileNotFoundError):
            return None
        return known.with_image(image) if known.matches_frame(before, behind) else None

    def _known_records(self, shard_number: int) -> IndexedRecords:
        known = self._known.get(shard_number)
        if known is None:
            known = IndexedRecords(self.load_index(shard_number).table, self._decoder.labels)
            self._known[shard_number] = known
        return known

    def read_raw(self, number: int) -> tuple[bytes, IndexRow]:
        """A record as it lies there: its payload, CRCs checked, and its row of the index."""
        shard_number, record = self._locate(number)
        (row,) = self.load_index(shard_number).rows(record, record + 1)
        return self._read(shard_number, record), row

    def _locate(self, number: int) -> tuple[int, int]:
        """The shard that a record is in, and its number there."""
        try:
            place = self._places[number]
        except IndexError:
            raise IndexError(f"record {number} of {len(self)} in {self.name}") from None
        shard_number = bisect_right(self._ends, place)
        first = self._ends[shard_number] - self.info.shards[shard_number].records
        return shard_number, place - first

    def _read(self, shard_number: int, record: int) -> bytes:
        position = self.load_index(shard_number).location(record)
        try:
            return self._reader(shard_number).read(position, record=record)
        except (CorruptDataError, FileNotFoundError):
            with self._naming(shard_number):
                raise

    @contextmanager
    def _naming(self, shard_number: int) -> Iterator[None]:
        """Put the shard's name into what is found wrong with it."""
        name = self.info.shards[shard_number].name
        with missing_as_corrupt(self._storage, name), with_path(self._storage, name):
            yield

    def __iter__(self) -> Iterator[Record]:
        """All records, shard after shard, each read once from its beginning."""
        for shard_number, end in enumerate(self._ends):
            first = end - self.info.shards[shard_number].records
            own = range(max(self._places.start, first), min(self._places.stop, end))
            if own:
                records = self.iter_shard(shard_number)
                yield from islice(records, own.start - first, own.stop - first)

    def iter_shard(self, shard_number: int) -> Iterator[Record]:
        """The records of one shard of this split, read once from its beginning to its end."""
        with self._naming(shard_number):
            for record, frame in self._read_shard(shard_number):
                yield self._decode(frame.payload, shard_number, record)

    def _read_shard(self, shard_number: int) -> Iterator[tuple[int, Frame]]:
        """The records of a shard with their numbers."""
        frames = read_shard(self._storage, self.info.shards[shard_number].name)
        if not self._decoder.reads_adopted:
            yield from enumerate(frames)
            return
        index = self.load_index(shard_number)
        for frame in frames:
            number = index.find(frame.offset)
            if number is not None:  # else the adoption left it out
                yield number, frame

    def _decode(self, payload: bytes, shard_number: int, record: int) -> Record:
        key = None
        if self._decoder.reads_adopted:
            (key,) = self.load_index(shard_number).keys(record, record + 1)
        try:
            return self._decoder.decode(payload, record=record, key=key)
        except CorruptDataError:
            with self._naming(shard_number):
                raise

    def _reader(self, shard_number: int) -> ShardReader:
        reader = self._readers.get(shard_number)
        if reader is None:
            if len(self._readers) >= _OPEN_SHARDS:
                self._readers.clear()  # who is reading from one keeps it open
            reader = ShardReader(self._storage, self.info.shards[shard_number].name)
            self._readers[shard_number] = reader
        return reader

    def load_index(self, shard_number: int) -> Index:
        """The index of a shard of this split, read when it is first asked for.

        Raises:
            CorruptDataError: it is damaged, or missing, or is not this shard's.
        """
        if shard_number not in self._indexes:
            shard = self.info.shards[shard_number]
            with missing_as_corrupt(self._storage, index_name(shard.name)):
                index = read_index(self._storage, index_name(shard.name))
            if len(index) != shard.records:
                raise CorruptDataError(
                    "an index has not as many rows as its shard has records",
                    path=self._storage.describe(index_name(shard.name)),
                    expected=shard.records,
                    got=len(index),
                )
            self._indexes[shard_number] = index
        return self._indexes[shard_number]

    def __getstate__(self) -> dict[str, Any]:
        # A worker process opens what it needs itself: indexes are cheaper read than sent.
        return {**self.__dict__, "_indexes": {}, "_known": {}, "_readers": {}}


class Dataset(Mapping[SplitName, Split]):
    """Split names → records."""

    def __init__(
        self, storage: Storage, manifest: Manifest, part: WorkerSlice = ALL_RECORDS
    ) -> None:
        self.storage = storage
        self.manifest = manifest
        decoder = RecordDecoder(manifest.labels, manifest.adopted)
        self._splits = {
            name: Split(storage, name, info, decoder, part)
            for name, info in manifest.splits.items()
        }

    @property
    def labels(self) -> LabelMap:
        """Class names; a name's place is its label."""
        return self.manifest.labels

    def __getitem__(self, name: SplitName) -> Split:
        return self._splits[name]

    def __iter__(self) -> Iterator[SplitName]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)


def open_dataset(
    path: str | os.PathLike[str],
    *,
    shard_index: int = 0,
    shard_count: int = 1,
    pad: bool = False,
) -> Dataset:
    """Open a finished dataset, or one worker's part of it.

    Args:
        path: local, or any fsspec URL.
        shard_index: which worker's part of every split, from 0.
        shard_count: among how many workers: each record is one's. Parts differ by one record at
            most, however few shards there are.
        pad: all parts of a split have as many records, for trainers that take steps
            together: a smaller one has one of its neighbour's too.

    Raises:
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: its manifest is damaged.
        UsageError: there is no such part.
    """
    part = WorkerSlice(shard_index, shard_count, padded=pad)
    storage = open_storage(path)
    return Dataset(storage, read_manifest(storage), part)


@contextmanager
def missing_as_corrupt(storage: Storage, name: str) -> Iterator[None]:
    """Make CorruptDataError of a file that the manifest names and that is not there."""
    try:
        yield
    except FileNotFoundError as error:
        raise CorruptDataError(
            "a file of the dataset is missing",
            path=storage.describe(name),
            hint="`shardmill verify` lists what else is wrong",
        ) from error
