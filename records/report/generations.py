"""Generations of a dataset, and what the newest one changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from records.history import DiffSummary, History, diff, log
from records.report.parts import (
    Cell,
    Column,
    Facts,
    Note,
    Part,
    Section,
    Table,
    show_name,
    show_number,
)

if TYPE_CHECKING:
    from records.dataset import Dataset

_MAX_CLASSES = 10_000


def generations_section(dataset: Dataset, location: str) -> Section:
    """Return the section with the log, and with the changes since the previous generation.

    Args:
        dataset: an open dataset.
        location: the path or URL with which it was opened; it may end with `@N`.

    Raises:
        CorruptDataError: a manifest or an index is damaged or missing.
    """
    history = log(location)
    parts: list[Part] = [_log(history)]
    number = dataset.manifest.generations[-1].number
    earlier = [
        each.generation
        for each in history.generations
        if each.is_readable and each.generation < number
    ]
    if earlier:
        folder = dataset.location
        found = diff(f"{folder}@{earlier[0]}", f"{folder}@{number}").summary
        parts += _changes(found, earlier[0], number)
    return Section("generations", "Generations", tuple(parts))


def _log(history: History) -> Table:
    columns = (
        Column("generation", "count"),
        Column("published (UTC)"),
        Column("command"),
        Column("added", "count"),
        Column("removed", "count"),
        Column("relabelled", "count"),
        Column("images", "count"),
        Column("message"),
    )
    rows: list[tuple[Cell, ...]] = []
    for entry in history.generations:
        found = entry.provenance
        rows.append(
            (
                entry.generation,
                "unknown" if found is None else f"{found.ended:%Y-%m-%d %H:%M:%S}",
                "unknown" if found is None else show_name(found.command),
                entry.added,
                entry.removed,
                entry.relabelled,
                entry.records,
                "" if found is None or found.message is None else show_name(found.message),
            )
        )
    return Table("Generations, the newest first", columns, rows)


def _changes(summary: DiffSummary, before: int, after: int) -> Iterator[Part]:
    shifts = (
        ("KS of the widths", summary.width.ks),
        ("KS of the heights", summary.height.ks),
        ("KS of the stored sizes", summary.bytes.ks),
        ("PSI of the formats", summary.formats.psi),
        ("PSI of the classes", summary.class_shift),
    )
    changes = summary.changes.items()
    yield Facts(
        (
            ("compared", f"generation {before} with generation {after}"),
            *((kind, f"{count:,}") for kind, count in changes),
            *((name, show_number(distance)) for name, distance in shifts),
        )
    )
    columns = (
        Column("split", has_choices=True),
        Column("class"),
        Column(f"generation {before}", "count"),
        Column(f"generation {after}", "count"),
        Column("difference", "count"),
    )
    rows = [
        (split, show_name(name), one, other, other - one)
        for split, counts in summary.classes.items()
        for name, (one, other) in counts.items()
        if one != other
    ]
    yield Note(
        "A KS or a PSI of 0 means that nothing has shifted; a PSI above 0.25 is a large shift."
    )
    title = "Classes whose number of images changed"
    yield Table(title, columns, rows[:_MAX_CLASSES], total=len(rows))
