"""One record against the label map and against its row in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

from records.dataset import Record, decode_record
from records.errors import DamagedError
from records.framing import frame_size_bytes
from records.images import decode_stored
from records.reports.finding import Finding, FindingKind, find_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.framing import Frame
    from records.index import IndexRow


def check_record(
    frame: Frame,
    row: IndexRow | None,
    *,
    file: str,
    record: int,
    labels: tuple[str, ...] | None,
    decode: bool,
) -> Iterator[Finding]:
    """What is wrong with one record of a dataset.

    Args:
        frame: the record, its checksums right.
        row: what the index says of it; None where the index cannot be read.
        file: its shard.
        record: its number.
        labels: the label map; None where the manifest is damaged.
        decode: decode the image too.
    """
    try:
        found = decode_record(frame.payload, record=record)
    except DamagedError as error:
        yield find_in(error, "feature", file, offset=frame.offset)
        return
    for kind, detail in _faults(found, row, labels, len(frame.payload), decode=decode):
        yield Finding(kind, file, detail, record=record, offset=frame.offset, key=found.key)


def _faults(
    found: Record,
    row: IndexRow | None,
    labels: tuple[str, ...] | None,
    payload_bytes: int,
    *,
    decode: bool,
) -> Iterator[tuple[FindingKind, str]]:
    fault = _label_fault(found, labels) or _index_fault(found, row, payload_bytes)
    if fault is not None:
        yield fault
    if decode:
        try:
            decode_stored(found.image, found.format, found.width, found.height, found.channels)
        except DamagedError as error:
            yield "image", str(error)


def _label_fault(found: Record, labels: tuple[str, ...] | None) -> tuple[FindingKind, str] | None:
    if labels is None:
        return None
    if not 0 <= found.label < len(labels):
        return "label", f"expected 0 to {len(labels) - 1}, got {found.label}"
    if found.text != labels[found.label]:
        return "text", f"label {found.label} is {labels[found.label]!r}, got {found.text!r}"
    return None


def _index_fault(
    found: Record, row: IndexRow | None, payload_bytes: int
) -> tuple[FindingKind, str] | None:
    differences = (
        [
            f"{name} is {got!r}, in the index {expected!r}"
            for name, expected, got in _differences(found, row, payload_bytes)
        ]
        if row is not None
        else []
    )
    return ("index", "; ".join(differences)) if differences else None


def _differences(
    found: Record, row: IndexRow, payload_bytes: int
) -> Iterator[tuple[str, object, object]]:
    """Name, what the index says, and what the record says, where they differ."""
    pairs: list[tuple[str, object, object]] = [
        ("key", row.key, found.key),
        ("label", row.label, found.label),
        ("length", row.length, frame_size_bytes(payload_bytes)),
        ("stored_bytes", row.stored_bytes, len(found.image)),
        ("format", row.format, found.format),
        ("width", row.width, found.width),
        ("height", row.height, found.height),
        ("channels", row.channels, found.channels),
    ]
    if not row.changes:  # stored byte for byte: then the source's hash is the image's
        pairs += [
            ("source_bytes", row.source_bytes, len(found.image)),
            ("source_xxh3_128", row.source_xxh3_128, xxhash.xxh3_128_hexdigest(found.image)),
        ]
    return (pair for pair in pairs if pair[1] != pair[2])
