"""Intact records of a dataset, to write a damaged shard again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines.repair.damage import Damage, ignoring_damage
from pipelines.repair.listed import ListedFiles, ListedShard
from pipelines.writing.copy import relabel_payload
from records.dataset.record import RecordDecoder, decode_record
from records.errors import CorruptDataError
from records.format.columns import pack_values
from records.format.index import Index, IndexRow, read_shard_index
from records.format.label_map import LabelMap
from records.format.shard import FrameLocation, ShardReader
from records.format.tfrecord import HEADER_BYTES, Frame, frame_size_bytes
from records.integrity.compressed_parts import PartialStream
from records.integrity.index_lookup import IndexLookup
from records.integrity.resilient_reader import read_skipping_damage
from records.storage import RangeReader, Storage
from records.storage.base import split_parts

_TRIED_ROWS = 8
"""The rows of a damaged shard that are tried in another damaged file before the rest of them."""
_MOST_OPEN = 64
"""The shards that are open at the same time: each remote one has a buffer of some megabytes."""
_IMAGE_FIELDS = (
    "stored_bytes", "format", "width", "height", "channels", "source_bytes", "source_xxh3_128",
    "changes",
)  # fmt: skip


class Place(NamedTuple):
    """The place of an intact record: a file, and the row that describes the record in it."""

    file: str
    row: IndexRow
    decoder: RecordDecoder


_Finder = Callable[[ListedShard, Index, Sequence[IndexRow]], Iterator[Place]]
"""A function that yields the places of lost records of a damaged shard."""


class StoredRecords:
    """The intact records of all files of a dataset.

    Args:
        storage: the dataset.
        listed: its files.
        damage: the damaged ones.
    """

    def __init__(self, storage: Storage, listed: ListedFiles, damage: Damage) -> None:
        self._storage, self._listed, self._damage = storage, listed, damage
        self._readers: OrderedDict[str, ShardReader | None] = OrderedDict()

    def find(self, shard: ListedShard, index: Index) -> list[Place | None]:
        """Return the place of each record of a damaged shard; None for a record that is lost.

        A record is searched at its place in the shard, then at other places in the shard, in other
        damaged shards, and in the shards of other generations, which may contain it with other
        labels.
        """
        finders = (self._find_moved, self._find_misplaced, self._find_in_generations)
        return self._find(shard, index, finders)

    def find_borrowed(self, shard: ListedShard, index: Index) -> set[str]:
        """Return other damaged shards whose files have records of a shard, as after an exchange.

        A shard of another generation is not one of them: it has these records also when repaired.
        """
        places = self._find(shard, index, (self._find_moved, self._find_misplaced))
        return {place.file for place in places if place is not None} - {shard.info.name}

    def _find(
        self, shard: ListedShard, index: Index, finders: Iterable[_Finder]
    ) -> list[Place | None]:
        """Return the place of each record of a damaged shard: its own, or that of a finder."""
        rows, name, decoder = index.rows(), shard.info.name, shard.decoder
        found: list[Place | None] = [
            self._require(Place(name, row, decoder)) if name in self._damage else None
            for row in rows
        ]
        for find in finders:
            missing = {rows[number].key: number for number, it in enumerate(found) if it is None}
            if missing:
                for place in find(shard, index, [rows[number] for number in missing.values()]):
                    found[missing[place.row.key]] = place
        return found

    def read(self, place: Place, row: IndexRow, labels: LabelMap) -> bytes | None:
        """Return the payload of a record with the labels of a row; None if it is damaged now.

        A label may have another name in the generation of the record.
        """
        payload = self._read(place)
        if payload is None or _name(place.row, place.decoder.labels) == _name(row, labels):
            return payload
        return relabel_payload(payload, row.all_labels, labels)

    def _require(self, place: Place) -> Place | None:
        return None if self._read(place) is None else place

    def _read(self, place: Place) -> bytes | None:
        """Return an intact payload that a row describes; None if it is different or missing."""
        row, reader = place.row, self._open(place.file)
        if reader is None:
            return None
        with ignoring_damage(self._storage):
            payload = reader.read(FrameLocation(row.offset, row.length), record=0)
            return payload if _describes(row, payload, place.decoder) else None
        return None

    def _open(self, name: str) -> ShardReader | None:
        if name in self._readers:
            self._readers.move_to_end(name)
            return self._readers[name]
        self._readers[name] = None
        with ignoring_damage(self._storage):
            self._readers[name] = ShardReader(_open_ranges(self._storage, name))
        if len(self._readers) > _MOST_OPEN:
            self._readers.popitem(last=False)
        return self._readers[name]

    def _find_moved(
        self, shard: ListedShard, index: Index, rows: Sequence[IndexRow]
    ) -> Iterator[Place]:
        """Yield the records that damage has moved within their shard."""
        name, decoder = shard.info.name, shard.decoder
        wanted = {row.key: row for row in rows}
        with ignoring_damage(self._storage), self._storage.open(name) as stream:
            for item in read_skipping_damage(PartialStream(stream), name, IndexLookup(index)):
                row = wanted.get(_key_of(item)) if isinstance(item, Frame) else None
                if row is not None and isinstance(item, Frame):
                    place = Place(name, _move(row, item.offset), decoder)
                    if frame_size_bytes(len(item.payload)) == row.length and self._read(place):
                        yield place

    def _find_misplaced(
        self, shard: ListedShard, _index: Index, rows: Sequence[IndexRow]
    ) -> Iterator[Place]:
        """Yield the records that are in the file of another shard, as after an exchange."""
        for name in self._damage:
            if name not in self._listed.shards or name == shard.info.name:
                continue
            places = [Place(name, row, shard.decoder) for row in rows]
            if any(map(self._require, islice(places, _TRIED_ROWS))):
                yield from filter(self._require, places)
            else:
                self._readers.pop(name, None)  # of many damaged shards, few have such records

    def _find_in_generations(
        self, shard: ListedShard, _index: Index, rows: Sequence[IndexRow]
    ) -> Iterator[Place]:
        """Yield the records that another generation has in other shards, maybe relabelled."""
        wanted = {row.key: row for row in rows}
        for place in self.iter_copies(shard, wanted):
            row = wanted[place.row.key]
            if _has_same_image(place.row, row) and self._read(place) is not None:
                yield place

    def iter_copies(
        self, shard: ListedShard, keys: Iterator[str] | dict[str, IndexRow]
    ) -> Iterator[Place]:
        """Yield the records with these keys in shards that no generation lists with this one.

        The keys of one generation are unique.
        """
        wanted = pa.array(keys, pa.string())
        for other in self._listed.shards.values():
            if other.generations & shard.generations:
                continue
            index: Index | None = None
            with ignoring_damage(self._storage):
                index = read_shard_index(self._storage, other.info, other.form)
            if index is None:
                continue
            is_wanted = pc.is_in(index.table["key"], value_set=wanted)
            # `indices_nonzero` of Arrow crashes if an index has no rows.
            for number in np.flatnonzero(is_wanted.to_numpy()).tolist():
                yield Place(other.info.name, index.rows(number, number + 1)[0], other.decoder)


class _BufferedRanges(NamedTuple):
    """A remote file that is read in ascending order: one request reads many records."""

    stream: BinaryIO

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See `RangeReader.read`."""
        self.stream.seek(offset)
        return self.stream.read(size_bytes)

    def read_parts(self, offset: int, sizes_bytes: Sequence[int]) -> list[bytes]:
        """See `RangeReader.read_parts`."""
        return split_parts(self.read(offset, sum(sizes_bytes)), sizes_bytes)


def _open_ranges(storage: Storage, name: str) -> RangeReader:
    if storage.is_local:
        return storage.open_random_access(name)
    return _BufferedRanges(storage.open(name))


def _name_classes(row: IndexRow, labels: LabelMap) -> list[str]:
    return [labels[label] for label in row.all_labels]


def _describes(row: IndexRow, payload: bytes, decoder: RecordDecoder) -> bool:
    if not decoder.matches(payload, row):
        return False
    if row.changes:
        return True
    # Stored byte for byte: source and image have the same hash.
    begin = row.image_offset - row.offset - HEADER_BYTES
    image = payload[begin : begin + row.stored_bytes]
    return str(xxhash.xxh3_128_hexdigest(image)) == row.source_xxh3_128


def _name(row: IndexRow, labels: LabelMap) -> list[tuple[int, str]]:
    """Return the labels of a row with their names."""
    return [(label, labels[label]) for label in row.all_labels]


def _key_of(frame: Frame) -> str:
    try:
        return decode_record(frame.payload).key
    except CorruptDataError:
        return ""


def _move(row: IndexRow, offset: int) -> IndexRow:
    return row._replace(offset=offset, image_offset=row.image_offset + offset - row.offset)


def _has_same_image(one: IndexRow, other: IndexRow) -> bool:
    values = [pack_values([*row.columns.values()]) if row.columns else b"" for row in (one, other)]
    return values[0] == values[1] and all(
        getattr(one, name) == getattr(other, name) for name in _IMAGE_FIELDS
    )
