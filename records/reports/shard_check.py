"""One shard, its bytes read once: checksums, counts and sizes, each record against the index."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, BinaryIO, cast

import xxhash

from records.compression import ReadableRecords
from records.errors import DamagedError, StorageError
from records.index import Index, read_index
from records.layout import index_name
from records.reports.damage import read_around_damage
from records.reports.finding import Checked, Finding, find_in
from records.reports.record_check import ShardRecord, check_record
from records.reports.row_finder import RowFinder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.framing import Frame
    from records.manifest import Shard
    from records.record import RecordDecoder
    from records.storage import Storage


def check_shard(
    storage: Storage,
    name: str,
    *,
    expected: Shard | None,
    decoder: RecordDecoder,
    decode: bool,
) -> Checked:
    """Check one shard of a dataset and its index.

    Args:
        storage: the dataset's folder.
        name: the shard.
        expected: what the manifest says of it; None where the manifest is damaged.
        decoder: what the manifest says of records; without labels where it is damaged.
        decode: decode every image too.
    """
    checked = Checked(name)
    rows = _check_index(storage, name, expected, checked)
    of_the_index = len(checked.findings)
    try:
        with storage.open(name) as stream:
            hashed = _Hashed(stream)
            whole = ReadableRecords(cast("BinaryIO", hashed))
            for item in read_around_damage(whole, name, rows):
                if _is_left_out(item, rows, expected):
                    checked.left_out += 1
                    continue
                _check_item(item, rows, checked, decoder=decoder, decode=decode)
    except FileNotFoundError:
        checked.findings.append(Finding("missing", name, "there is no such file"))
        return checked
    except (StorageError, OSError) as error:
        checked.findings.append(Finding("unreadable", name, str(error)))
        return checked
    checked.size_bytes = hashed.size_bytes
    if expected is not None and len(checked.findings) == of_the_index:
        checked.findings += _check_whole(expected, checked, hashed.xxh3_128)
    return checked


def _is_left_out(item: Frame | Finding, rows: RowFinder | None, expected: Shard | None) -> bool:
    """Whether it is a record of an adopted file that is not of the dataset."""
    if isinstance(item, Finding) or rows is None or expected is None or not expected.left_out:
        return False
    return rows.at(item.offset) is None


def _check_item(
    item: Frame | Finding,
    rows: RowFinder | None,
    checked: Checked,
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


def _check_whole(expected: Shard, checked: Checked, xxh3_128: str) -> Iterator[Finding]:
    """The first thing wrong with a file in which no single record is wrong."""
    comparisons = (
        ("record-count", "records", expected.records, checked.records),
        ("record-count", "records left out", expected.left_out, checked.left_out),
        ("size", "bytes", expected.bytes, checked.size_bytes),
        ("checksum", "xxh3-128", expected.xxh3_128, xxh3_128),
    )
    for kind, what, wanted, got in comparisons:
        if wanted != got:
            detail = f"the manifest says {what} {wanted}, got {got}"
            yield Finding(kind, checked.file, detail)  # type: ignore[arg-type]
            return


def _check_index(
    storage: Storage, name: str, expected: Shard | None, checked: Checked
) -> RowFinder | None:
    """The rows of a shard's index, unless it is no use, which is then a finding."""
    file = index_name(name)
    try:
        index = read_index(storage, file)
    except FileNotFoundError:
        checked.findings.append(Finding("missing", file, "there is no such file"))
        return None
    except DamagedError as error:
        checked.findings.append(find_in(error, "index-damaged", file))
        return None
    except StorageError as error:
        checked.findings.append(Finding("unreadable", file, str(error)))
        return None
    contradictions = "; ".join(_contradictions(index, name, expected))
    if contradictions:
        checked.findings.append(Finding("index", file, contradictions))
        return None
    checked.keys = index.table["key"]
    checked.class_records = Counter(index.facts.class_records)
    return RowFinder(index)


def _contradictions(index: Index, name: str, expected: Shard | None) -> Iterator[str]:
    facts = index.facts
    by_class = dict(Counter(index.table["label"].to_pylist()))
    pairs: list[tuple[str, object, object]] = [
        ("its shard", name, facts.name),
        ("its rows", facts.records, len(index)),
        ("its records by class", by_class, facts.class_records),
    ]
    if expected is not None:
        pairs += [
            ("its records", expected.records, facts.records),
            ("its bytes", expected.bytes, facts.bytes),
            ("its xxh3-128", expected.xxh3_128, facts.xxh3_128),
        ]
    return (f"{what}: expected {want}, got {got}" for what, want, got in pairs if want != got)


class _Hashed:
    """A stream that keeps count and hash of what was read of it.

    The hash is that of the file as long as nothing was damaged, so that nobody had to go back.
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
