"""Every whole record of a damaged TFRecord file, ours or anybody's, into a new file.

A record is whole where both its checksums are right. One whose length is damaged counts as lost,
also where the index tells what the length was: damage touched it. Payloads are copied as they are,
whatever they hold.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec

from records.dataset.resolve import resolve_path
from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format.index import Index, read_index
from records.format.layout import index_name
from records.format.shard import ShardWriter
from records.format.tfrecord import Frame, frame_size_bytes
from records.format.tfrecord_compression import open_until_error
from records.integrity.findings import Finding, finding_from_error
from records.integrity.index_lookup import IndexLookup
from records.integrity.resilient_reader import read_skipping_damage
from records.storage.exclusive import create_exclusive, require_absent

if TYPE_CHECKING:
    from collections.abc import Callable

    from records.storage import Storage


class Loss(msgspec.Struct, frozen=True):
    """A stretch of a file that belongs to no whole record.

    Attributes:
        offset: where it begins (in the decompressed bytes of a compressed file).
        bytes: how long it is; 0 where records are missing and nothing is in their place.
        keys: of the records that were there, as text, if the index names them.
    """

    offset: int
    bytes: int
    keys: tuple[str, ...]


class SalvageReport(msgspec.Struct, frozen=True):
    """What `salvage --json` prints.

    Attributes:
        shard: the damaged file.
        out: the new one; None where nothing was to be written.
        index: the index that was used, relative to the file's folder.
        records: whole records, all of which are in `out`.
        bytes: of those records, as they lie in `out`.
        lost_records: how many are not among them, if an index tells.
        lost: the stretches between them, in order.
        findings: what is damaged, as `verify` finds it.
    """

    shard: str
    out: str | None
    index: str | None
    records: int
    bytes: int
    lost_records: int | None
    lost: tuple[Loss, ...]
    findings: tuple[Finding, ...]


def salvage(
    shard: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> SalvageReport:
    """Copy every whole record of a file into a new one, in order.

    Args:
        shard: a TFRecord file, plain, GZIP or ZLIB; the index beside it is used if there is one.
        out: the new file, plain; there whole or not at all.
        dry_run: write nothing.
        on_bytes: called with the bytes of each record that was read.

    Raises:
        InputNotFoundError: there is no such file.
        UsageError: it is a dataset.
        OutputError: `out` is there already, or cannot be written.
        StorageError: storage failed after retries.
    """
    storage, name = _open_shard(shard)
    target = os.fspath(out)
    require_absent(target)
    index, findings = _read_index_beside(storage, name)
    survivors = _Survivors(index)
    with (
        nullcontext() if dry_run else create_exclusive(target) as staged,
        storage.open(name) as stream,
    ):
        writer = ShardWriter(staged) if staged is not None else None
        readable = open_until_error(stream)
        for item in read_skipping_damage(readable, name, survivors.rows):
            if isinstance(item, Finding):
                findings.append(item)
                continue
            survivors.add(item)
            on_bytes(frame_size_bytes(len(item.payload)))
            if writer is not None:
                writer.write(item.payload)
        survivors.end(readable.stream.tell())
    if index is not None and survivors.lost and not findings:
        detail = f"the index says records {len(index)}, got {survivors.records}"
        findings.append(Finding("record-count", name, detail))
    return SalvageReport(
        shard=storage.display_name(name),
        out=None if dry_run else target,
        index=None if index is None else index_name(name),
        records=survivors.records,
        bytes=survivors.size_bytes,
        lost_records=survivors.lost_records,
        lost=tuple(survivors.lost),
        findings=tuple(findings),
    )


def _open_shard(shard: str | os.PathLike[str]) -> tuple[Storage, str]:
    storage, name = resolve_path(shard)
    if name is not None:
        return storage, name
    path = storage.url
    if storage.list():
        raise UsageError(
            "salvage reads one TFRecord file", path=path, hint="`shardmill verify` finds which"
        )
    raise InputNotFoundError("there is no such file", path=path)


def _read_index_beside(storage: Storage, name: str) -> tuple[Index | None, list[Finding]]:
    """The index of a shard, if there is a good one, and what is wrong with it if not."""
    file = index_name(name)
    try:
        index = read_index(storage, file)
    except FileNotFoundError:
        return None, []
    except CorruptDataError as error:
        return None, [finding_from_error(error, "index-damaged", file)]
    if index.summary.name.rpartition("/")[2] != name or index.summary.records != len(index):
        return None, [Finding("index", file, f"it is the index of {index.summary.name}")]
    return index, []


class _Survivors:
    """Adds up whole records, and what lies between them."""

    def __init__(self, index: Index | None) -> None:
        self.rows = IndexLookup(index) if index is not None else None
        self.records = 0
        self.size_bytes = 0
        self.lost: list[Loss] = []
        self._end = 0
        self._next_row = 0

    @property
    def lost_records(self) -> int | None:
        return None if self.rows is None else sum(len(loss.keys) for loss in self.lost)

    def add(self, frame: Frame) -> None:
        """See the next record."""
        number = self.rows.of_frame(frame) if self.rows is not None else None
        self._close(frame.offset, number if number is not None else self._next_row)
        self._next_row = max(self._next_row, self._next_row if number is None else number + 1)
        size_bytes = frame_size_bytes(len(frame.payload))
        self._end = frame.offset + size_bytes
        self.records += 1
        self.size_bytes += size_bytes

    def end(self, offset: int) -> None:
        """See the end of the file."""
        self._close(offset, 0 if self.rows is None else len(self.rows.index))

    def _close(self, offset: int, row: int) -> None:
        keys = self.rows.index.keys(self._next_row, row) if self.rows is not None else ()
        if offset > self._end or keys:
            self.lost.append(Loss(self._end, offset - self._end, keys))
