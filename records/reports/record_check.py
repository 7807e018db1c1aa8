"""One record against the label map and against its row in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import xxhash

from records.errors import DamagedError
from records.framing import frame_size_bytes
from records.images import decode_stored
from records.reports.finding import Finding, FindingKind, find_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.framing import Frame
    from records.index import IndexRow
    from records.record import Record, RecordDecoder
    from records.reports.row_finder import RowFinder


class ShardRecord(NamedTuple):
    """A record whose checksums are right.

    Attributes:
        file: its shard.
        number: its number there, as far as damage before it lets one count.
        frame: as it lies there.
        moved: whether damage before it may have moved it.
    """

    file: str
    number: int
    frame: Frame
    moved: bool


def check_record(
    record: ShardRecord,
    rows: RowFinder | None,
    *,
    decoder: RecordDecoder,
    decode: bool,
) -> Iterator[Finding]:
    """What is wrong with one record of a dataset.

    Args:
        record: the record.
        rows: its shard's index; None where that is no use.
        decoder: what the manifest says of records; without labels where it is damaged.
        decode: decode the image too.
    """
    place = rows.at(record.frame.offset) if rows is not None else None
    try:
        found = decoder.decode(record.frame.payload, key=place[1].key if place else None)
    except DamagedError as error:
        finding = find_in(error, "feature", record.file, offset=record.frame.offset)
        yield msgspec.structs.replace(finding, record=place[0] if place else record.number)
        return
    if rows is not None:
        place = place or rows.of_key(found.key)
        if place is not None:
            rows.go_behind(place[1], record.frame)
    number, row = place or (record.number, None)
    faults = list(_faults(found, record, row, decoder.labels, decode=decode))
    if rows is not None and row is None:
        faults.append(("index", "the index has no record at this place or of this key"))
    for kind, detail in faults:
        yield Finding(kind, record.file, detail, number, record.frame.offset, found.key)


def _faults(
    found: Record,
    record: ShardRecord,
    row: IndexRow | None,
    labels: tuple[str, ...],
    *,
    decode: bool,
) -> Iterator[tuple[FindingKind, str]]:
    fault = _label_fault(found, labels) or _index_fault(found, record, row)
    if fault is not None:
        yield fault
    if decode:
        try:
            decode_stored(found.image, found.format, found.width, found.height, found.channels)
        except DamagedError as error:
            yield "image", str(error)


def _label_fault(found: Record, labels: tuple[str, ...]) -> tuple[FindingKind, str] | None:
    if not labels:
        return None
    if not 0 <= found.label < len(labels):
        return "label", f"expected 0 to {len(labels) - 1}, got {found.label}"
    if found.text != labels[found.label]:
        return "text", f"label {found.label} is {labels[found.label]!r}, got {found.text!r}"
    return None


def _index_fault(
    found: Record, record: ShardRecord, row: IndexRow | None
) -> tuple[FindingKind, str] | None:
    if row is None:
        return None
    differences = [
        f"{name} is {got!r}, in the index {expected!r}"
        for name, expected, got in _compare(found, record, row)
        if expected != got
    ]
    return ("index", "; ".join(differences)) if differences else None


def _compare(
    found: Record, record: ShardRecord, row: IndexRow
) -> Iterator[tuple[str, object, object]]:
    """Name, what the index says, and what the record is."""
    yield "key", row.key, found.key
    yield "label", row.label, found.label
    yield "length", row.length, frame_size_bytes(len(record.frame.payload))
    yield "stored_bytes", row.stored_bytes, len(found.image)
    yield "format", row.format, found.format
    yield "width", row.width, found.width
    yield "height", row.height, found.height
    yield "channels", row.channels, found.channels
    if not row.changes:  # stored byte for byte: then the source's hash is the image's
        yield "source_bytes", row.source_bytes, len(found.image)
        yield "source_xxh3_128", row.source_xxh3_128, xxhash.xxh3_128_hexdigest(found.image)
    if not record.moved:
        yield "offset", row.offset, record.frame.offset
