"""Quality issues and brightness of the images of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from records.report.charts import draw_histogram
from records.report.parts import (
    Cell,
    Column,
    Finding,
    Note,
    Part,
    Section,
    Table,
    show_command,
    show_name,
)
from records.text.formatting import pluralize

if TYPE_CHECKING:
    import pyarrow as pa

    from records.dataset import Dataset
    from records.quality import Quality
    from records.report.images import ImageSet

_LISTED_PER_ISSUE = 60
_PICTURED_PER_ISSUE = 10
_EDGES = tuple(range(0, 257, 8))
_FOUND = "Images with an issue"


def quality_section(
    dataset: Dataset, quality: Quality | None, scores: pa.Table | None, images: ImageSet
) -> Section:
    """Return the section with the quality issues.

    Args:
        dataset: an open dataset.
        quality: its issues; None if its measurements are not saved.
        scores: the measurements; None if they are not saved.
        images: the images of the page.
    """
    if quality is None or scores is None:
        note = Note(
            "Quality issues and brightness are not shown, because the measurements are not saved"
            " yet. The first command computes and saves them; then make the report again.",
            (
                show_command("quality", dataset.path),
                show_command("report", dataset.path, "-o", "NEW.html"),
            ),
        )
        return Section("quality", "Quality", (note,), (Finding("Quality", "not measured"),))
    parts = (*_brightness(scores), _summary(quality), *_findings(dataset, quality, images))
    finding = Finding("Quality", _count_issues(quality), _FOUND)
    return Section("quality", "Quality", parts, (finding,))


def _count_issues(quality: Quality) -> str:
    """Return the number of images with an issue, and that of each issue."""
    if not quality.findings:
        return "no image with an issue"
    images = len({found.row for found in quality.findings})
    issues = sorted(quality.issues.items(), key=lambda item: -item[1].images)
    listed = ", ".join(f"{name} ({issue.images:,})" for name, issue in issues if issue.images)
    return f"{pluralize(images, 'image')} with an issue: {listed}"


def _brightness(scores: pa.Table) -> Iterator[Part]:
    for title, column in (
        ("Brightness of the brightest parts (95th percentile)", "dark"),
        ("Brightness of the darkest parts (5th percentile)", "bright"),
    ):
        values = scores[column].to_numpy().astype(np.float64)
        chart = draw_histogram(title, values, x="brightness, 0 to 255", edges=_EDGES)
        if chart is not None:
            yield chart


def _summary(quality: Quality) -> Table:
    columns = (
        Column("issue"),
        Column("meaning"),
        Column("limit", "number"),
        Column("images", "count", has_bars=True),
    )
    rows = [
        (name, issue.meaning, issue.limit, issue.images) for name, issue in quality.issues.items()
    ]
    note = f"{quality.undecodable:,} could not be decoded." if quality.undecodable else ""
    return Table("Issues", columns, rows, note)


def _findings(dataset: Dataset, quality: Quality, images: ImageSet) -> Iterator[Part]:
    if not quality.findings:
        yield Note("No image has an issue.")
        return
    listed: Counter[str] = Counter()
    rows: list[tuple[Cell, ...]] = []
    for found in quality.findings:
        listed[found.issue] += 1
        if listed[found.issue] > _LISTED_PER_ISSUE:
            continue
        pictures = 1 if listed[found.issue] <= _PICTURED_PER_ISSUE else 0
        names = ", ".join(show_name(dataset.labels[label]) for label in found.labels)
        rows.append(
            (
                images.add([found.row], pictures=pictures),
                found.issue,
                found.value,
                found.split,
                names,
            )
        )
    columns = (
        Column("image", "images"),
        Column("issue", has_choices=True),
        Column("value", "number"),
        Column("split", has_choices=True),
        Column("class"),
    )
    left_out = max(listed.values()) > _LISTED_PER_ISSUE
    note = f"The {_LISTED_PER_ISSUE} worst of each issue." if left_out else ""
    yield Table(_FOUND, columns, rows, note, total=len(quality.findings), thing="finding")
