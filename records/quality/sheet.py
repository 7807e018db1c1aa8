"""Picture of the worst images of each quality issue."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from records.errors import CorruptDataError
from records.pictures.contact_sheet import COLUMNS, draw_samples
from records.pictures.thumbnails import ClassSample, make_thumbnail
from records.stats import read_record
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from PIL import Image

    from records.dataset import Dataset
    from records.quality.result import ImageFinding, Quality


def draw_quality(dataset: Dataset, quality: Quality) -> bytes | None:
    """Return a row with the worst images of each issue as PNG; None if there are none.

    A duplicate is on the right of the image that is kept. Images that cannot be decoded are left
    out: `--check header` may store them.

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
        worst = (found for found in quality.findings if found.issue == name)
        images = list(islice(_make_thumbnails(dataset, worst), COLUMNS))
        if images:
            samples.append(ClassSample(name, issue.images, images))
    if not samples:
        return None
    title = f"{pluralize(len(quality.keys()), 'image')} with an issue"
    return draw_samples(samples, title)


def _make_thumbnails(dataset: Dataset, found: Iterable[ImageFinding]) -> Iterator[Image.Image]:
    """Yield the images of findings, each duplicate after the image that is kept."""
    for each in found:
        images = (each,) if each.duplicate_of is None else (each.duplicate_of, each)
        records = [read_record(dataset, image.split, image.row) for image in images]
        with suppress(CorruptDataError):
            yield from [make_thumbnail(record) for record in records]
