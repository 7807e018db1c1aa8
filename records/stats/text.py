"""Text form of the statistics of a dataset."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate, align, format_bytes, pluralize
from records.text.urls import redact_location

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from records.stats.columns import ColumnStats
    from records.stats.counts import MinMedianMax, Stats
    from records.stats.duplicates import Duplicates

_MAX_CLASSES = 40
_SHOWN_AT_EACH_END = 15
_SHOWN_EMPTY = 20
_SHOWN_VALUES = 3
_SHOWN_CHARS = 30


def format_stats(stats: Stats, path: str | None = None) -> list[str]:
    """Return the statistics of a dataset as aligned lines; the first line begins with `path`."""
    head = f"{escape_for_display(redact_location(path))}: " if path is not None else ""
    classes = len(stats.labels)
    head += (
        f"{pluralize(stats.records, 'image')} in {classes:,}"
        f" {'class' if classes == 1 else 'classes'}, {format_bytes(stats.bytes)}"
    )
    facts = [
        ("imbalance", _imbalance(stats)),
        *_labels(stats),
        ("formats", _frequencies(stats.formats, "none")),
        ("changed", _frequencies(stats.changes, "nothing")),
        ("rejected", _frequencies(stats.rejects, "none")),
        *_duplicates(stats.duplicates),
    ]
    columns = ["", *_columns(stats.columns)] if stats.columns else []
    return [head, "", *_classes(stats), "", *_sizes(stats), *columns, "", *align(facts)]


def _classes(stats: Stats) -> list[str]:
    totals = stats.class_totals
    order: list[int] = list(range(len(totals)))
    omitted = len(order) - 2 * _SHOWN_AT_EACH_END
    if len(order) > _MAX_CLASSES:
        order.sort(key=lambda label: (-totals[label], label))
        order = [*order[:_SHOWN_AT_EACH_END], *order[-_SHOWN_AT_EACH_END:]]
    rows = [("label", "class", *stats.splits, "total")]
    for label in order:
        by_split = [split.class_records[label] for split in stats.splits.values()]
        rows.append(
            (
                str(label),
                escape_for_display(stats.labels[label]),
                *_counts(*by_split, totals[label]),
            )
        )
    sums = _counts(*(split.records for split in stats.splits.values()), stats.records)
    rows.append(("", "total", *sums))
    lines = align(rows, right="><" + ">" * len(sums))
    if len(totals) > _MAX_CLASSES:
        gap = f"       … {pluralize(omitted, 'class')} between these; --json lists all"
        lines.insert(1 + _SHOWN_AT_EACH_END, gap)
    return lines


def _counts(*numbers: int) -> list[str]:
    return [f"{number:,}" for number in numbers]


def _sizes(stats: Stats) -> list[str]:
    if stats.width_px is None or stats.height_px is None or stats.image_bytes is None:
        return []
    rows = [
        ("", "min", "median", "max"),
        ("width", *_range(stats.width_px, _pixels)),
        ("height", *_range(stats.height_px, _pixels)),
        ("size", *_range(stats.image_bytes, format_bytes)),
    ]
    return align(rows, right="<>>>")


def _labels(stats: Stats) -> list[tuple[str, str]]:
    """Return how many labels images have, and which together, if there may be several."""
    if not stats.labels_per_image:
        return []
    counts = _frequencies({str(n): found for n, found in stats.labels_per_image.items()}, "none")
    pairs = [
        f"{escape_for_display(', '.join(stats.labels[label] for label in pair.labels))}"
        f" ({pair.records:,})"
        for pair in stats.label_pairs[:_SHOWN_VALUES]
    ]
    more = "; …" * (len(stats.label_pairs) > _SHOWN_VALUES)
    return [
        ("labels", f"{counts} (number of labels, images)"),
        ("together", "; ".join(pairs) + more or "none"),
    ]


def _columns(columns: Mapping[str, ColumnStats]) -> list[str]:
    rows = [("column", "type", "missing", "distinct", "values")]
    for name, found in columns.items():
        if found.mean is not None:
            values = f"{found.min:,.6g} to {found.max:,.6g}, mean {found.mean:,.6g}"
        else:
            shown = islice(found.most_frequent.items(), _SHOWN_VALUES)
            texts = [f"{_shorten(text)} ({number:,})" for text, number in shown]
            values = ", ".join(texts) + ", …" * (found.distinct > _SHOWN_VALUES) or "none"
        counts = (f"{found.missing:,}", f"{found.distinct:,}")
        rows.append((escape_for_display(name), found.type, *counts, values))
    return align(rows, right="<<>>")


def _shorten(text: str) -> str:
    return abbreviate(escape_for_display(text), _SHOWN_CHARS)


def _range(found: MinMedianMax, show: Callable[[int], str]) -> tuple[str, str, str]:
    return show(found.min), show(found.median), show(found.max)


def _pixels(size_px: int) -> str:
    return f"{size_px:,} px"


def _imbalance(stats: Stats) -> str:
    if stats.imbalance is None:
        return "no images"
    empty = [
        escape_for_display(label)
        for label, total in zip(stats.labels, stats.class_totals, strict=True)
        if not total
    ]
    more = len(empty) - _SHOWN_EMPTY
    shown = ", ".join(empty[:_SHOWN_EMPTY]) + (f" and {more:,} more" if more > 0 else "")
    note = f"; no images of {shown}" if empty else ""
    return f"{stats.imbalance:.2f}, largest class over smallest class{note}"


def _frequencies(counts: dict[str, int], nothing: str) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items()) or nothing


def _duplicates(found: Duplicates) -> list[tuple[str, str]]:
    duplicates = leaks = conflicts = "none"
    if found.groups:
        images = pluralize(found.records, "image")
        option = "--keys duplicates lists the keys to exclude"
        duplicates = f"{images} identical to another image ({option})"
    if found.leak_groups:
        files = pluralize(found.leak_groups, "file")
        leaks = f"{files} in more than one split (--keys leaks lists the keys to exclude)"
    if found.conflict_groups:
        conflicts = f"{pluralize(found.conflict_groups, 'file')} with more than one label"
    return [("duplicates", duplicates), ("leaks", leaks), ("conflicts", conflicts)]
