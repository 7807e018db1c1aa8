"""Text form of quality issues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display
from records.text.formatting import align, pluralize
from records.text.urls import redact_location

if TYPE_CHECKING:
    from records.quality.result import ImageFinding, Quality

_SHOWN_PER_ISSUE = 3


def format_quality(quality: Quality, path: str | None = None) -> list[str]:
    """Return the numbers of images by issue, and the worst of each, one string per line."""
    head = f"{escape_for_display(redact_location(path))}: " if path is not None else ""
    flagged = len({found.row for found in quality.findings})
    head += f"{pluralize(quality.images, 'image')}, {flagged:,} with an issue"
    if quality.undecodable:
        head += f", {quality.undecodable:,} cannot be decoded"
    lines = [head, ""]
    rows = [
        (name, f"{issue.images:,}", f"{issue.limit:.4g}", issue.meaning)
        for name, issue in quality.issues.items()
    ]
    lines += align([("issue", "images", "limit", ""), *rows], right="<>>")
    worst = [
        found
        for name in quality.issues
        for found in [each for each in quality.findings if each.issue == name][:_SHOWN_PER_ISSUE]
    ]
    if worst:
        lines += ["", "The worst of each:", *align([_row(found, quality) for found in worst])]
    return lines


def _row(found: ImageFinding, quality: Quality) -> tuple[str, ...]:
    key = escape_for_display(found.key)
    if (kept := found.duplicate_of) is not None:
        key += f"  of {kept.split} {_names(kept.labels, quality)} {escape_for_display(kept.key)}"
    value = f"{found.value:.3g}"
    return found.issue, value, found.split, _names(found.labels, quality), key


def _names(labels: tuple[int, ...], quality: Quality) -> str:
    return escape_for_display(", ".join(quality.labels[label] for label in labels))
