"""Check of one shard and its index.

Each record is compared with the label map and with its index row. Then the totals of the shard are
compared with the manifest. The bytes of an intact shard are read once.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import msgspec
import xxhash

from records.errors import CorruptDataError, StorageError
from records.format.columns import pack_values
from records.format.digest import digest_of
from records.format.index import Index, RowForm, count_labels, decode_index
from records.format.layout import MANIFEST, index_name
from records.format.tfrecord import HEADER_BYTES, frame_size_bytes
from records.images import decode_record_image
from records.integrity.compressed_parts import PartialStream
from records.integrity.findings import FileCheck, Finding, FindingKind, finding_from_error
from records.integrity.index_lookup import IndexLookup
from records.integrity.resilient_reader import read_skipping_damage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.dataset.record import Record, RecordDecoder
    from records.format.index import IndexRow
    from records.format.manifest import ShardInfo
    from records.format.tfrecord import Frame
    from records.storage import Storage


def check_shard(
    storage: Storage,
    name: str,
    *,
    expected: ShardInfo | None,
    plan_digest: str | None = None,
    decoder: RecordDecoder,
    decode: bool,
) -> FileCheck:
    """Check one shard of a dataset and its index.

    Args:
        storage: the folder of the dataset.
        name: the name of the shard.
        expected: the entry of the shard in the manifest; None if the manifest is damaged.
        plan_digest: the plan digest of the generation; None if the manifest is damaged.
        decoder: the decoder of the records, without labels if the manifest is damaged.
        decode: whether to decode every image, too.
    """
    checked = FileCheck(name)
    rows = _check_index(storage, name, expected, plan_digest, checked)
    if rows is not None and decoder.labels:
        form = RowForm(decoder.columns, decoder.multi_label, len(decoder.labels))
        if (difference := rows.index.difference_from(form)) is not None:
            detail = f"expected rows as in {MANIFEST}, got {difference}"
            checked.findings.append(Finding("index", index_name(name), detail))
            rows = None
    index_findings = len(checked.findings)
    try:
        with storage.open(name) as stream:
            hashed = _HashingReader(stream)
            readable = PartialStream(cast("BinaryIO", hashed))
            for item in read_skipping_damage(readable, name, rows):
                if _is_excluded(item, rows, expected):
                    checked.excluded_records += 1
                    continue
                _check_item(item, rows, checked, decoder=decoder, decode=decode)
    except FileNotFoundError:
        checked.findings.append(Finding("missing", name, "file not found"))
        return checked
    except (CorruptDataError, StorageError, OSError) as error:
        checked.findings.append(Finding("unreadable", name, str(error)))
        return checked
    checked.size_bytes = hashed.size_bytes
    if expected is not None and len(checked.findings) == index_findings:
        checked.findings += _check_totals(expected, checked, hashed.xxh3_128)
    return checked


def _is_excluded(
    item: Frame | Finding, rows: IndexLookup | None, expected: ShardInfo | None
) -> bool:
    """Return whether a record of an adopted file was excluded from the dataset."""
    if (
        isinstance(item, Finding)
        or rows is None
        or expected is None
        or not expected.excluded_records
    ):
        return False
    return rows.find_offset(item.offset) is None


def _check_item(
    item: Frame | Finding,
    rows: IndexLookup | None,
    checked: FileCheck,
    *,
    decoder: RecordDecoder,
    decode: bool,
) -> None:
    if isinstance(item, Finding):
        checked.findings.append(item)
        return
    record = ShardRecord(checked.file, checked.records, item, moved=bool(checked.findings))
    checked.records += 1
    checked.findings += check_record(record, rows, decoder=decoder, decode=decode)


def _check_totals(expected: ShardInfo, checked: FileCheck, xxh3_128: str) -> Iterator[Finding]:
    """Yield a finding for the first mismatch between a shard and the manifest, if any."""
    comparisons = (
        ("record-count", "records", expected.records, checked.records),
        ("record-count", "excluded records", expected.excluded_records, checked.excluded_records),
        ("size", "bytes", expected.bytes, checked.size_bytes),
        ("checksum", "xxh3-128", expected.xxh3_128, xxh3_128),
    )
    for kind, what, wanted, got in comparisons:
        if wanted != got:
            detail = f"{what}: expected {wanted} as in the manifest, got {got}"
            yield Finding(kind, checked.file, detail)  # type: ignore[arg-type]
            return


def _check_index(
    storage: Storage,
    name: str,
    expected: ShardInfo | None,
    plan_digest: str | None,
    checked: FileCheck,
) -> IndexLookup | None:
    """Return the index rows of a shard; if they are not usable, add a finding and return None."""
    file = index_name(name)
    try:
        content = storage.read(file)
        index = decode_index(content, path=storage.display_name(file))
    except FileNotFoundError:
        checked.findings.append(Finding("missing", file, "file not found"))
        return None
    except CorruptDataError as error:
        checked.findings.append(finding_from_error(error, "index-damaged", file))
        return None
    except StorageError as error:
        checked.findings.append(Finding("unreadable", file, str(error)))
        return None
    mismatches = "; ".join(_index_mismatches(index, name, expected, plan_digest))
    if not mismatches and expected is not None and digest_of(content) != expected.index:
        mismatches = f"size or SHA-256: not as in {MANIFEST}"
    if mismatches:
        checked.findings.append(Finding("index", file, mismatches))
        return None
    checked.keys = index.table["key"]
    checked.class_records = Counter(index.summary.class_records)
    return IndexLookup(index)


def _index_mismatches(
    index: Index, name: str, expected: ShardInfo | None, plan_digest: str | None
) -> Iterator[str]:
    facts = index.summary
    by_class = count_labels(index.table)
    pairs: list[tuple[str, object, object]] = [
        ("shard", name, facts.name),
        ("rows", facts.records, len(index)),
        ("records by class", by_class, facts.class_records),
    ]
    if expected is not None:
        pairs += [
            ("records", expected.records, facts.records),
            ("bytes", expected.bytes, facts.bytes),
            ("xxh3-128", expected.xxh3_128, facts.xxh3_128),
        ]
    if plan_digest is not None:
        pairs.append(("plan digest", plan_digest, facts.plan_digest))
    return (f"{what}: expected {want}, got {got}" for what, want, got in pairs if want != got)


class _HashingReader:
    """A stream that counts and hashes the bytes that are read.

    If the reader never seeks, as in a shard without damage, the hash is the hash of the file.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = xxhash.xxh3_128()
        self.size_bytes = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        self.size_bytes = max(self.size_bytes, self._stream.tell())
        return data

    def seek(self, offset: int) -> int:
        return self._stream.seek(offset)

    def tell(self) -> int:
        return self._stream.tell()

    @property
    def xxh3_128(self) -> str:
        return str(self._digest.hexdigest())


class ShardRecord(NamedTuple):
    """A record with correct checksums.

    Attributes:
        file: the name of the shard.
        number: the number of the record in the shard, from 0; lost records are not counted.
        frame: the frame of the record.
        moved: whether damage before the record may have changed the offset of the record.
    """

    file: str
    number: int
    frame: Frame
    moved: bool


def check_record(
    record: ShardRecord,
    rows: IndexLookup | None,
    *,
    decoder: RecordDecoder,
    decode: bool,
) -> Iterator[Finding]:
    """Yield the findings about one record of a dataset.

    Args:
        record: the record, with its place in the shard.
        rows: the index rows of the shard; None if they are not usable.
        decoder: the decoder of the records, without labels if the manifest is damaged.
        decode: whether to decode the image, too.
    """
    indexed = rows.find_offset(record.frame.offset) if rows is not None else None
    try:
        found = decoder.decode(record.frame.payload, key=indexed[1].key if indexed else None)
    except CorruptDataError as error:
        finding = finding_from_error(error, "feature", record.file, offset=record.frame.offset)
        yield msgspec.structs.replace(finding, record=indexed[0] if indexed else record.number)
        return
    if rows is not None:
        indexed = indexed or rows.find_key(found.key)
        if indexed is not None:
            rows.realign(indexed[1], record.frame)
    number, row = indexed or (record.number, None)
    faults = list(_faults(found, record, row, decoder.labels, decode=decode))
    if rows is not None and row is None:
        faults.append(("index", "the index has no row with this offset or key"))
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
            decode_record_image(
                found.image, found.format, found.width, found.height, found.channels
            )
        except CorruptDataError as error:
            yield "image", str(error)


def _label_fault(found: Record, labels: tuple[str, ...]) -> tuple[FindingKind, str] | None:
    if not labels:
        return None
    for label, name in zip(found.labels, found.class_names, strict=True):
        if not 0 <= label < len(labels):
            return "label", f"label: expected 0 to {len(labels) - 1}, got {label}"
        if name != labels[label]:
            expected = repr(labels[label])
            return "text", f"class name of label {label}: expected {expected}, got {name!r}"
    if any(first >= second for first, second in pairwise(found.labels)):
        return "label", f"labels: expected in ascending order, got {found.labels}"
    return None


def _index_fault(
    found: Record, record: ShardRecord, row: IndexRow | None
) -> tuple[FindingKind, str] | None:
    if row is None:
        return None
    differences = [
        f"{name}: expected {expected!r} as in the index, got {got!r}"
        for name, expected, got in _compare_with_row(found, record, row)
        if expected != got
    ]
    return ("index", "; ".join(differences)) if differences else None


def _compare_with_row(
    found: Record, record: ShardRecord, row: IndexRow
) -> Iterator[tuple[str, object, object]]:
    """Yield the name of each value, the value in the index, and the value in the record."""
    yield "key", row.key, found.key
    yield "labels", row.all_labels, found.labels
    yield "length", row.length, frame_size_bytes(len(record.frame.payload))
    yield "stored_bytes", row.stored_bytes, len(found.image)
    yield "format", row.format, found.format
    yield "width", row.width, found.width
    yield "height", row.height, found.height
    yield "channels", row.channels, found.channels
    if not row.changes:  # stored byte for byte: source and image have the same hash
        yield "source_bytes", row.source_bytes, len(found.image)
        yield "source_xxh3_128", row.source_xxh3_128, xxhash.xxh3_128_hexdigest(found.image)
    values, stored = ([*it.columns.values()] for it in (row, found))
    if stored and pack_values(values) != pack_values(stored):  # NaN differs from NaN
        yield "columns", dict(row.columns), dict(found.columns)
    image_at = row.image_offset - row.offset - HEADER_BYTES
    if image_at < 0 or not record.frame.payload.startswith(found.image, image_at):
        yield "image_offset", row.image_offset, "other bytes at this offset"
    if not record.moved:
        yield "offset", row.offset, record.frame.offset
