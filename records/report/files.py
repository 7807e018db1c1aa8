"""Rejected, skipped and excluded files of the source."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from records.format.layout import SKIPPED, generation_path
from records.format.rejects import read_unresolved_rejects
from records.format.shard import missing_as_corrupt
from records.format.skipped import SkippedFile, read_skipped
from records.report.parts import (
    Cell,
    Column,
    Finding,
    Note,
    Part,
    Section,
    Table,
    show_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from records.dataset import Dataset
    from records.format.index import Reject
    from records.report.images import ImageSet

_MAX_ROWS = 1000
"""The maximum number of files that a table lists."""
_REJECTED, _SKIPPED = "Rejected images", "Skipped and excluded files"


def files_section(dataset: Dataset, images: ImageSet) -> Section:
    """Return the section with the rejected, skipped and excluded files, and the reasons.

    Raises:
        CorruptDataError: a list is missing or damaged.
    """
    rejects = read_unresolved_rejects(dataset.storage, dataset.manifest)
    rejected = Counter(each.reason for each in rejects)
    skipped, first_skipped = _read_skipped(dataset)
    parts = (
        _counts(dataset),
        *_show_rejects(rejected, rejects, images),
        *_show_skipped(skipped, first_skipped, images),
    )
    findings = tuple(
        Finding(title, _list_reasons(reasons), title)
        for title, reasons in ((_REJECTED, rejected), (_SKIPPED, skipped))
    )
    return Section("files", "Rejected and skipped files", parts, findings)


def _counts(dataset: Dataset) -> Table:
    names = ("found", "stored", "rejected", "skipped", "excluded")
    columns = (Column("generation", "count"), *(Column(name, "count") for name in names))
    rows = [
        (each.number, *(getattr(each.counts, name) for name in names))
        for each in reversed(dataset.manifest.generations)
    ]
    return Table("Files of the source by generation", columns, rows)


def _list_reasons(reasons: Counter[str]) -> str:
    """Return the number of files, and that of each reason."""
    if not reasons:
        return "none"
    listed = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common())
    return f"{reasons.total():,}: {listed}"


def _show_rejects(
    reasons: Counter[str], rejects: Sequence[Reject], images: ImageSet
) -> Iterator[Part]:
    if not rejects:
        yield Note("No image was rejected.")
        return
    yield _count_reasons("Reasons of rejections", reasons)
    columns = (
        Column("file", "images"),
        Column("class", has_choices=True),
        Column("reason", has_choices=True),
        Column("detail"),
        Column("size", "bytes"),
    )
    rows = [
        (
            (images.add_file(each.key),),
            ", ".join(map(show_name, each.classes or [each.class_name or ""])),
            each.reason,
            show_name(each.detail),
            each.bytes,
        )
        for each in rejects[:_MAX_ROWS]
    ]
    yield _list_files(_REJECTED, columns, rows, len(rejects), "rejects.jsonl")


def _read_skipped(dataset: Dataset) -> tuple[Counter[str], list[SkippedFile]]:
    """Return the number of files of each outcome and reason, and the first files."""
    reasons: Counter[str] = Counter()
    first: list[SkippedFile] = []
    for file in _list_skipped(dataset):
        reasons[f"{file.outcome}: {file.reason}"] += 1
        if len(first) < _MAX_ROWS:
            first.append(file)
    return reasons, first


def _show_skipped(
    reasons: Counter[str], first: Sequence[SkippedFile], images: ImageSet
) -> Iterator[Part]:
    if not reasons:
        yield Note("No file was skipped or excluded.")
        return
    yield _count_reasons("Reasons of skipped and excluded files", reasons)
    columns = (
        Column("file", "images"),
        Column("outcome", has_choices=True),
        Column("reason", has_choices=True),
        Column("detail"),
    )
    rows = [
        ((images.add_file(file.key),), file.outcome, file.reason, show_name(file.detail))
        for file in first
    ]
    yield _list_files(_SKIPPED, columns, rows, reasons.total(), "skipped.jsonl")


def _list_skipped(dataset: Dataset) -> Iterator[SkippedFile]:
    """Yield the files that the run of the newest generation skipped; an adoption skips no file."""
    manifest = dataset.manifest
    if manifest.adopted is None:
        number = manifest.generations[-1].number
        with missing_as_corrupt(dataset.storage, generation_path(SKIPPED, number)):
            yield from read_skipped(dataset.storage, number)


def _count_reasons(title: str, counts: Counter[str]) -> Table:
    columns = (Column("reason"), Column("files", "count", has_bars=True))
    return Table(title, columns, counts.most_common())


def _list_files(
    title: str, columns: tuple[Column, ...], rows: Sequence[Sequence[Cell]], total: int, file: str
) -> Table:
    """Return a table of the first files; `file` lists all."""
    note = f"The file {file} lists all." if total > len(rows) else ""
    return Table(title, columns, rows, note, total=total, thing="file")
