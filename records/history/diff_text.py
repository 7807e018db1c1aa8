"""Text form of the differences between two datasets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate, align, format_bytes, pluralize

if TYPE_CHECKING:
    from records.history.diff import ChangedRecord, DiffSummary

_MAX_CLASSES = 40
_KEY_CHARACTERS = 200


def format_diff(summary: DiffSummary) -> list[str]:
    """Return the differences as lines: records, classes, and the shift of the images."""
    heading = f"{escape_for_display(summary.a)} → {escape_for_display(summary.b)}"
    return [
        f"{heading}: {summary.records_a:,} → {pluralize(summary.records_b, 'record')}",
        *align([(kind, f"{count:,}") for kind, count in summary.changes.items()], right=" >"),
        *_first_records(summary),
        *_classes(summary),
        "",
        *align([*_shifts(summary)]),
    ]


def _first_records(summary: DiffSummary) -> Iterator[str]:
    for kind, records in summary.first.items():
        if records:
            more = summary.changes[kind] - len(records)
            yield ""
            yield from (f"{kind}  {_describe(record, kind)}" for record in records)
            if more:
                yield f"{kind}  … {more:,} more"


def _describe(record: ChangedRecord, kind: str) -> str:
    key = escape_for_display(abbreviate(record.key, _KEY_CHARACTERS))
    classes = [
        escape_for_display(", ".join(each) or "no class")
        for each in (record.classes_a, record.classes_b)
    ]
    details = {
        "added": f"{record.split_b}, {classes[1]}",
        "removed": f"{record.split_a}, {classes[0]}",
        "relabelled": f"{classes[0]} → {classes[1]}",
        "moved": f"{record.split_a} → {record.split_b}",
        "modified": "the source file has other content",
        "updated": "a kept column has another value",
    }
    return f"{key} ({details[kind]})"


def _classes(summary: DiffSummary) -> Iterator[str]:
    """Yield a table of the classes and splits whose numbers of records differ."""
    rows = [
        (split, escape_for_display(name), f"{a:,}", f"{b:,}", f"{b - a:+,}")
        for split, counts in summary.classes.items()
        for name, (a, b) in counts.items()
        if a != b
    ]
    if rows:
        yield ""
        yield from align([("split", "class", "a", "b", "b-a"), *rows[:_MAX_CLASSES]], right="  >>>")
    if len(rows) > _MAX_CLASSES:
        yield f"… {len(rows) - _MAX_CLASSES:,} more; --json lists all"


def _shifts(summary: DiffSummary) -> Iterator[tuple[str, str, str]]:
    for name, shift, show in (
        ("width", summary.width, _pixels),
        ("height", summary.height, _pixels),
        ("stored size", summary.bytes, _bytes),
    ):
        medians = f"median {show(shift.median_a)} → {show(shift.median_b)}"
        yield name, medians, f"KS {_distance(shift.ks)}"
    counts = summary.formats.records.items()
    formats = ", ".join(f"{escape_for_display(name)} {a:,} → {b:,}" for name, (a, b) in counts)
    yield "formats", formats or "none", f"PSI {_distance(summary.formats.psi)}"
    classes = {name for found in summary.classes.values() for name in found}
    yield "classes", f"{len(classes):,} in a or b", f"PSI {_distance(summary.class_shift)}"


def _pixels(value: int | None) -> str:
    return "none" if value is None else f"{value:,} px"


def _bytes(value: int | None) -> str:
    return "none" if value is None else format_bytes(value)


def _distance(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
