"""Picture of the worst images of each quality issue."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from records.pictures.contact_sheet import COLUMNS, draw_samples
from records.pictures.thumbnails import ClassSample, make_thumbnail
from records.stats import read_record
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.quality.find import Quality


def draw_quality(dataset: Dataset, quality: Quality) -> bytes | None:
    """Return a row with the worst images of each issue as PNG; None if no image has an issue.

    Args:
        dataset: an open dataset.
        quality: the issues of its images.

    Raises:
        CorruptDataError: an index or a record is damaged.
    """
    samples = []
    for name, issue in quality.issues.items():
        if not issue.images:
            continue
        worst = islice((found for found in quality.findings if found.issue == name), COLUMNS)
        images = [make_thumbnail(read_record(dataset, each.split, each.row)) for each in worst]
        samples.append(ClassSample(name, issue.images, images))
    if not samples:
        return None
    title = f"{pluralize(len(quality.keys()), 'image')} with an issue"
    return draw_samples(samples, title)
