"""Split of a dataset, as a sequence of records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice, zip_longest
from typing import Any, TypeVar, overload

from records.dataset.batch_reads import fetch_frames
from records.dataset.indexed_records import IndexedRecords
from records.dataset.mapped_split import MappedSplit
from records.dataset.notebook import split_html
from records.dataset.open_shards import MAX_OPEN_SHARDS, OpenShards
from records.dataset.record import Record, RecordDecoder
from records.dataset.record_places import Place, RecordPlaces
from records.dataset.worker_slice import ALL_RECORDS, WorkerSlice
from records.errors import CorruptDataError
from records.format.index import Index, IndexRow, RowForm, label_lists, read_shard_index
from records.format.layout import SplitName
from records.format.manifest import SplitInfo
from records.format.shard import ShardReader, missing_as_corrupt, read_shard, with_path
from records.format.tfrecord import (
    FOOTER_BYTES,
    HEADER_BYTES,
    Frame,
    frame_bytes,
    frame_size_bytes,
    is_frame_header,
)
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.storage import Storage
from records.text.formatting import pluralize

_KEYS_PER_BATCH = 4096

T = TypeVar("T")


class Split(Sequence[Record]):
    """The records of one split, or of the slice for one worker, in stored order.

    Attributes:
        name: the name of the split: `train`, `test` or `validation`.
        info: the entry of the whole split in the manifest: shards, and record counts per class.
        labels: the class names; the index of a name is its label.
    """

    max_open_shards = MAX_OPEN_SHARDS

    def __init__(
        self,
        storage: Storage,
        name: SplitName,
        info: SplitInfo,
        decoder: RecordDecoder,
        worker_slice: WorkerSlice = ALL_RECORDS,
    ) -> None:
        self.name = name
        self.info = info
        self.labels = decoder.labels
        self._storage = storage
        self._decoder = decoder
        self._indexes: dict[int, Index] = {}
        self._indexed_records: dict[int, IndexedRecords] = {}
        self._open_shards = OpenShards(storage)
        numbers = worker_slice.record_range(info.records)
        self._places = RecordPlaces((shard.records for shard in info.shards), numbers)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        records, shards = (
            pluralize(number, thing)
            for number, thing in ((self.info.records, "record"), (len(self.info.shards), "shard"))
        )
        if len(self) < self.info.records:
            records = f"{len(self):,} of {records}"
        return f"Split({self.name!r}, {records} in {shards})"

    def _repr_html_(self) -> str:
        return split_html(self)

    @overload
    def __getitem__(self, number: int) -> Record: ...
    @overload
    def __getitem__(self, number: slice) -> list[Record]: ...
    def __getitem__(self, number: int | slice) -> Record | list[Record]:
        """Return records by number. Each record takes one ranged read, at the offset in the index.

        Raises:
            IndexError: the split, or the slice of the worker, has fewer records.
            CorruptDataError: the record or its index is damaged or missing.
        """
        if isinstance(number, slice):
            return self.__getitems__(range(*number.indices(len(self))))
        return self._read_record(self._locate(number))

    def __getitems__(self, numbers: Sequence[int]) -> list[Record]:
        """Return the records with these numbers, in this order.

        PyTorch calls this method with the numbers of a batch. In a remote dataset, records that are
        near each other take one read, and reads run in parallel.

        Raises as `__getitem__`.
        """
        places = [self._locate(number) for number in numbers]
        if self._storage.is_local:
            return list(map(self._read_record, places))
        shards = {place.shard for place in places}
        for _ in parallel_map(self.load_index, shards, threads=IO_THREADS):
            pass  # the indexes are loaded in parallel
        frames = {place: self.load_index(place.shard).location(place.record) for place in places}
        fetched = fetch_frames(frames, self._read_range)
        records = {
            place: self._read_record(place, fetched.pop(place)) for place in sorted({*places})
        }
        return [records[place] for place in places]

    _getitems = __getitems__  # the name in Grain

    def map(self, function: Callable[[Record], T]) -> MappedSplit[T]:
        """Return the results of a function for the records, as a sequence.

            images = dataset["train"].map(lambda record: (record.decode(), record.label))

        PyTorch and Grain read from the sequence; see `MappedSplit`.
        """
        return MappedSplit(self, function)

    def _read_range(self, shard_number: int, offset: int, size_bytes: int) -> bytes:
        with self._with_shard_path(shard_number):
            return self._reader(shard_number).ranges.read(offset, size_bytes)

    def _read_record(self, place: Place, reader: ShardReader | None = None) -> Record:
        """Read a record; see `records.dataset.indexed_records`.

        If the index does not match the record, or the record cannot be read, the whole Example is
        decoded, which reports the error.
        """
        shard_number, number = place
        record: Record | None = None
        if not self._decoder.reads_adopted:
            indexed = self._load_indexed_records(shard_number)
            try:  # `suppress` would take a tenth of the time of a small record
                record = indexed.read(number, reader or self._reader(shard_number))
            except (CorruptDataError, FileNotFoundError):
                record = None
        return record or self._decode(self._read(shard_number, number, reader), *place)

    def _load_indexed_records(self, shard_number: int) -> IndexedRecords:
        indexed = self._indexed_records.get(shard_number)
        if indexed is None:
            indexed = IndexedRecords(self.load_index(shard_number), self.labels)
            self._indexed_records[shard_number] = indexed
        return indexed

    def read_raw(self, number: int) -> tuple[bytes, IndexRow]:
        """Read the payload of a record, check the CRCs, and return payload and index row.

        Raises:
            CorruptDataError: the record or the index is damaged.
            StorageError: storage failed after retries.
        """
        shard_number, record = self._locate(number)
        (row,) = self.load_index(shard_number).rows(record, record + 1)
        payload = self._read(shard_number, record)
        if not self._decoder.matches(payload, row):
            raise self._other_records(shard_number, record, expected=row.key)
        return payload, row

    def check_first_record(self, shard_number: int) -> None:
        """Check that the first record of a shard is the one that its index names, in one read.

        Another shard may have the same size, and all of its checksums are right. A damaged record
        is ignored, because reading the shard reports it.

        Raises:
            CorruptDataError: the index is damaged or missing, or the shard has other records.
            StorageError: storage failed after retries.
        """
        shard = self.info.shards[shard_number]
        # The index is not kept: all indexes together may need much memory.
        index = self._indexes.get(shard_number) or self._read_index(shard_number)
        for row in index.rows(0, 1):
            with missing_as_corrupt(self._storage, shard.name):
                frame = self._storage.read_range(shard.name, row.offset, row.length)
            header, payload = frame[:HEADER_BYTES], frame[HEADER_BYTES:-FOOTER_BYTES]
            if not is_frame_header(header):
                return
            if frame == frame_bytes(payload):
                is_own = self._decoder.matches(payload, row)
            else:
                is_own = frame_size_bytes(int.from_bytes(header[:8], "little")) == row.length
            if not is_own:
                raise self._other_records(shard_number, 0, expected=row.key)

    def _other_records(self, shard_number: int, record: int, *, expected: str) -> CorruptDataError:
        return CorruptDataError(
            "the shard has other records than its index",
            path=self._storage.display_name(self.info.shards[shard_number].name),
            record=record,
            expected=expected,
            hint="`shardmill verify` lists all damage",
        )

    def find_by_label(
        self, labels: Collection[int], count: int, *, most_records: int | None = None
    ) -> dict[int, list[int]]:
        """Return the numbers of the first records of each label; only the indexes are read.

        Args:
            labels: the labels to look for.
            count: the maximum number of records per label.
            most_records: the number of records, from the first, that are searched; None searches
                until every label is complete.

        Raises:
            CorruptDataError: an index is damaged or missing.
        """
        found: dict[int, list[int]] = {label: [] for label in labels}
        missing = sum(min(count, self.info.class_records[label]) for label in found)
        start, end = 0, len(self) if most_records is None else min(most_records, len(self))
        for shard_number, own in self._places.by_shard():
            length = min(len(own), end - start)
            rows = self.load_index(shard_number).table.slice(own.start, length)
            for number, labels_of in enumerate(label_lists(rows), start):
                for label in labels_of:
                    if label in found and len(found[label]) < count:
                        found[label].append(number)
                        missing -= 1
            start += length
            if missing <= 0 or start >= end:
                break
        return found

    def _locate(self, number: int) -> Place:
        try:
            return self._places[number]
        except IndexError:
            count = pluralize(len(self), "record")
            raise IndexError(f"{self.name} has no record {number}, only {count}") from None

    def _read(self, shard_number: int, record: int, reader: ShardReader | None = None) -> bytes:
        location = self.load_index(shard_number).location(record)
        try:
            return (reader or self._reader(shard_number)).read(location, record=record)
        except (CorruptDataError, FileNotFoundError):
            with self._with_shard_path(shard_number):
                raise

    @contextmanager
    def _with_shard_path(self, shard_number: int) -> Iterator[None]:
        """Add the path of the shard to errors; raise CorruptDataError if the shard is missing."""
        name = self.info.shards[shard_number].name
        with missing_as_corrupt(self._storage, name), with_path(self._storage, name):
            yield

    def __iter__(self) -> Iterator[Record]:
        """Yield all records, shard by shard; each shard is read once, as a stream."""
        for shard_number, own in self._places.by_shard():
            yield from islice(self.iter_shard(shard_number), own.start, own.stop)

    def iter_shard(self, shard_number: int) -> Iterator[Record]:
        """Yield all records of one shard, also those outside this slice, in one streaming read.

        Raises:
            CorruptDataError: the shard, or a record in it, is damaged or missing.
        """
        with self._with_shard_path(shard_number):
            for record, frame in self._read_shard(shard_number):
                yield self._decode(frame.payload, shard_number, record)

    def iter_indexed_shard(self, shard_number: int) -> Iterator[Record]:
        """Yield all records of one shard as `iter_shard`, and compare each key with the index.

        Raises:
            CorruptDataError: the shard or its index is damaged or missing, or the shard has other
                records than its index.
        """
        index = self.load_index(shard_number)
        batches = range(0, len(index), _KEYS_PER_BATCH)
        keys = chain.from_iterable(index.keys(at, at + _KEYS_PER_BATCH) for at in batches)
        pairs = zip_longest(self.iter_shard(shard_number), keys)
        for number, (record, key) in enumerate(pairs):
            if record is None or record.key != key:
                raise self._other_records(shard_number, number, expected=key or "no more records")
            yield record

    def iter_examples(self, shard_number: int) -> Iterator[bytes]:
        """Yield the serialized Examples of all records of one shard, in one streaming read.

        Raises:
            CorruptDataError: the shard, or a record in it, is damaged or missing.
        """
        with self._with_shard_path(shard_number):
            for _, frame in self._read_shard(shard_number):
                yield frame.payload

    def _read_shard(self, shard_number: int) -> Iterator[tuple[int, Frame]]:
        """Yield the frames of a shard with their record numbers."""
        frames = read_shard(self._storage, self.info.shards[shard_number].name)
        if not self._decoder.reads_adopted:
            yield from enumerate(frames)
            return
        index = self.load_index(shard_number)
        for frame in frames:
            number = index.find(frame.offset)
            if number is not None:  # else `adopt` excluded the record
                yield number, frame

    def _decode(self, payload: bytes, shard_number: int, record: int) -> Record:
        key = None
        if self._decoder.reads_adopted:
            (key,) = self.load_index(shard_number).keys(record, record + 1)
        try:
            return self._decoder.decode(payload, record=record, key=key)
        except CorruptDataError:
            with self._with_shard_path(shard_number):
                raise

    def _reader(self, shard_number: int) -> ShardReader:
        reader = self._open_shards.get(shard_number)
        if reader is None:
            name = self.info.shards[shard_number].name
            reader = self._open_shards.open(shard_number, name, at_most=self.max_open_shards)
        return reader

    def load_index(self, shard_number: int) -> Index:
        """Return the index of a shard of this split; the index is read on first use.

        Raises:
            CorruptDataError: the index is damaged or missing, or belongs to another shard.
        """
        if shard_number not in self._indexes:
            self._indexes[shard_number] = self._read_index(shard_number)
        return self._indexes[shard_number]

    def _read_index(self, shard_number: int) -> Index:
        shard = self.info.shards[shard_number]
        decoder = self._decoder
        form = RowForm(decoder.columns, decoder.multi_label, len(decoder.labels))
        return read_shard_index(self._storage, shard, form)

    def __getstate__(self) -> dict[str, Any]:
        # Worker processes open the files again: reading an index is cheaper than pickling it.
        return {**self.__dict__, "_indexes": {}, "_indexed_records": {}}
