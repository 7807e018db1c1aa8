"""Text form of quality issues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display
from records.text.formatting import align, pluralize
from records.text.urls import redact_location

if TYPE_CHECKING:
    from records.quality.find import ImageFinding, Quality

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
    lines += align([("issue", "images", "limit", ""), *rows])
    worst = [
        found
        for name in quality.issues
        for found in [each for each in quality.findings if each.issue == name][:_SHOWN_PER_ISSUE]
    ]
    if worst:
        lines += ["", "The worst of each:", *align([_row(found, quality) for found in worst])]
    return lines


def _row(found: ImageFinding, quality: Quality) -> tuple[str, ...]:
    names = ", ".join(quality.labels[label] for label in found.labels)
    value = f"{found.value:.3g}"
    return (
        found.issue,
        value,
        found.split,
        escape_for_display(names),
        escape_for_display(found.key),
    )
