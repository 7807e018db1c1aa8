"""Copy of the intact records of a damaged TFRecord file.

A record is intact if both its checksums are correct. A record with a damaged length counts as lost,
even if the length is in the index. Payloads of any content are copied unchanged.
"""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from records.arguments import check_arguments
from records.dataset.resolve import resolve_path
from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format.index import Index, read_index
from records.format.layout import MANIFEST, index_name
from records.format.shard import ShardWriter
from records.format.tfrecord import Frame, frame_size_bytes
from records.integrity.compressed_parts import open_until_damage
from records.integrity.findings import Finding, empty_file, finding_from_error
from records.integrity.index_lookup import IndexLookup
from records.integrity.resilient_reader import read_skipping_damage
from records.salvage.report import LostRange, SalvageReport
from records.storage import local_path, open_storage, split_location
from records.storage.errors import starts_over
from records.storage.exclusive import create_exclusive, require_absent, require_outside

if TYPE_CHECKING:
    from collections.abc import Callable

    from records.storage import Storage

_GENERATION = re.compile(r"/generations/[0-9]{4,9}$")


@starts_over()
@check_arguments
def salvage(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> SalvageReport:
    """Copy every intact record of a file to a new file, in order.

    Args:
        file: the path of a TFRecord file from any program: plain, GZIP or ZLIB. If the file has an
            index, the report names the lost records.
        output: the path of the new file, uncompressed; written completely or not at all.
        dry_run: whether to write nothing.
        on_bytes: a callback that receives the size of each record that was read, in bytes.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: the path is a folder, or `output` is inside the dataset of the file.
        OutputError: `output` already exists, or cannot be written.
        StorageError: storage failed after retries.
    """
    storage, name = _open_file(file)
    target = os.fspath(output)
    require_absent(target)
    _require_outside_dataset(target, os.fspath(file))
    index, findings = _read_index_of(storage, name)
    intact = _IntactRecords(index)
    with (
        nullcontext() if dry_run else create_exclusive(target) as staged,
        storage.open(name) as stream,
    ):
        writer = ShardWriter(staged) if staged is not None else None
        readable = open_until_damage(stream)
        for item in read_skipping_damage(readable, name, intact.rows):
            if isinstance(item, Finding):
                findings.append(item)
                intact.lose(item)
                continue
            intact.add(item)
            on_bytes(frame_size_bytes(len(item.payload)))
            if writer is not None:
                writer.write(item.payload)
        size_bytes = readable.begin + readable.stream.tell()
        intact.finish(size_bytes)
    if index is not None and intact.lost and not findings:
        detail = f"records: expected {len(index)} as in the index, got {intact.records}"
        findings.append(Finding("record-count", name, detail))
    if index is None and not intact.records and not findings:
        findings.append(empty_file(name))
    return SalvageReport(
        file=storage.display_name(name),
        output=None if dry_run else target,
        index=None if index is None else index_name(name),
        records=intact.records,
        bytes=intact.size_bytes,
        lost_records=intact.lost_records,
        lost=tuple(intact.lost),
        findings=tuple(findings),
    )


def _require_outside_dataset(output: str, file: str) -> None:
    """Check that an output is not in the dataset that contains a file, at any depth."""
    folder = split_location(file)[0]
    path = local_path(folder)
    if path is None:
        folders = [folder, _GENERATION.sub("", folder)]
    else:
        real = Path(os.path.realpath(path))
        folders = [str(each) for each in (real, *real.parents)]
    for each in folders:
        if open_storage(each).stat(MANIFEST) is not None:
            require_outside(output, each)


def _open_file(file: str | os.PathLike[str]) -> tuple[Storage, str]:
    storage, name, _ = resolve_path(file)
    if name is not None:
        return storage, name
    path = storage.url
    if storage.list():
        raise UsageError(
            "salvage reads one TFRecord file",
            path=path,
            got="a folder",
            hint=f"run `shardmill verify {path}` to find the damaged file",
        )
    raise InputNotFoundError("file not found", path=path)


def _read_index_of(storage: Storage, name: str) -> tuple[Index | None, list[Finding]]:
    """Return the index of a shard, or None without a usable index, and the findings about it."""
    file = index_name(name)
    try:
        index = read_index(storage, file)
    except FileNotFoundError:
        return None, []
    except CorruptDataError as error:
        return None, [finding_from_error(error, "index-damaged", file)]
    if index.summary.name.rpartition("/")[2] != name or index.summary.records != len(index):
        return None, [Finding("index", file, f"the index belongs to {index.summary.name}")]
    return index, []


class _IntactRecords:
    """Totals of the intact records, and the lost ranges before, between and after them."""

    def __init__(self, index: Index | None) -> None:
        self.rows = IndexLookup(index) if index is not None else None
        self.records = 0
        self.size_bytes = 0
        self.lost: list[LostRange] = []
        self._lost_compressed: int | None = None
        self._end = 0
        self._next_row = 0

    @property
    def lost_records(self) -> int | None:
        return None if self.rows is None else sum(len(part.keys) for part in self.lost)

    def add(self, frame: Frame) -> None:
        """Add the next intact record."""
        number = self.rows.find_frame(frame) if self.rows is not None else None
        self._add_lost(frame.offset, number if number is not None else self._next_row)
        self._next_row = max(self._next_row, self._next_row if number is None else number + 1)
        size_bytes = frame_size_bytes(len(frame.payload))
        self._end = frame.offset + size_bytes
        self.records += 1
        self.size_bytes += size_bytes

    def lose(self, finding: Finding) -> None:
        """Add the compressed bytes that a finding reports as lost before the next record."""
        if finding.lost_bytes is not None:
            self._lost_compressed = (self._lost_compressed or 0) + finding.lost_bytes

    def finish(self, size_bytes: int) -> None:
        """Add the lost range, if any, at the end of a file of this size."""
        self._add_lost(size_bytes, 0 if self.rows is None else len(self.rows.index))

    def _add_lost(self, offset: int, row: int) -> None:
        keys = self.rows.index.keys(self._next_row, row) if self.rows is not None else ()
        compressed = self._lost_compressed
        if offset > self._end or keys or compressed is not None:
            self.lost.append(LostRange(self._end, offset - self._end, keys, compressed))
        self._lost_compressed = None
