"""Rejected, skipped and excluded files of the source."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from records.format.layout import SKIPPED, generation_path
from records.format.rejects import read_unresolved_rejects
from records.format.shard import missing_as_corrupt
from records.format.skipped import SkippedFile, read_skipped
from records.report.parts import Column, Note, Part, Section, Table, show_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.dataset import Dataset
    from records.report.images import ImageSet

_MAX_ROWS = 1000
"""The maximum number of files that a table lists."""
_DETAIL_CHARACTERS = 300


def files_section(dataset: Dataset, images: ImageSet) -> Section:
    """Return the section with the rejected, skipped and excluded files, and the reasons.

    Raises:
        CorruptDataError: a list is missing or damaged.
    """
    parts = (_counts(dataset), *_rejects(dataset, images), *_skipped(dataset, images))
    return Section("files", "Rejected and skipped files", parts)


def _counts(dataset: Dataset) -> Table:
    names = ("found", "stored", "rejected", "skipped", "excluded")
    columns = (Column("generation", "count"), *(Column(name, "count") for name in names))
    rows = [
        (each.number, *(getattr(each.counts, name) for name in names))
        for each in reversed(dataset.manifest.generations)
    ]
    return Table("Files of the source by generation", columns, rows)


def _rejects(dataset: Dataset, images: ImageSet) -> Iterator[Part]:
    rejects = read_unresolved_rejects(dataset.storage, dataset.manifest)
    if not rejects:
        yield Note("No image was rejected.")
        return
    yield _count_reasons("Reasons of rejections", Counter(each.reason for each in rejects))
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
    yield Table("Rejected images", columns, rows, _left_out(len(rejects), "rejects.jsonl"))


def _skipped(dataset: Dataset, images: ImageSet) -> Iterator[Part]:
    reasons: Counter[str] = Counter()
    first: list[SkippedFile] = []
    for file in _read_skipped(dataset):
        reasons[f"{file.outcome}: {file.reason}"] += 1
        if len(first) < _MAX_ROWS:
            first.append(file)
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
    total = sum(reasons.values())
    yield Table("Skipped and excluded files", columns, rows, _left_out(total, "skipped.jsonl"))


def _read_skipped(dataset: Dataset) -> Iterator[SkippedFile]:
    """Yield the files that the run of the newest generation skipped; an adoption skips no file."""
    manifest = dataset.manifest
    if manifest.adopted is None:
        number = manifest.generations[-1].number
        with missing_as_corrupt(dataset.storage, generation_path(SKIPPED, number)):
            yield from read_skipped(dataset.storage, number)


def _count_reasons(title: str, counts: Counter[str]) -> Table:
    columns = (Column("reason"), Column("files", "count", has_bars=True))
    return Table(title, columns, counts.most_common())


def _left_out(total: int, file: str) -> str:
    return f"The first {_MAX_ROWS:,} of {total:,}; {file} lists all." if total > _MAX_ROWS else ""
