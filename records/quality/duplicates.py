"""Duplicates and near-duplicates as quality issues.

Of several images, the same one is kept as by `stats`: the first by split (test, validation, train),
then by key. Each of the other images has the issue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.dedup.thresholds import MAX_DISTANCE
from records.quality.result import ImageFinding, ImageReference, IssueSummary
from records.quality.rules import DUPLICATE, NEAR_DUPLICATE
from records.stats import find_groups

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from records.dedup import NearDuplicates, NearImage
    from records.quality.result import Quality
    from records.stats.duplicates import DuplicateRecord


def add_duplicates(quality: Quality, rows: pa.Table, near: NearDuplicates | None) -> Quality:
    """Return quality issues with the duplicates of a dataset.

    Args:
        quality: the other issues.
        rows: index rows, as `records.stats.read_index_rows` returns them.
        near: the near-duplicates; None if they were not searched.
    """
    same = sorted(_find_identical(rows), key=_rank)
    issues = {
        **quality.issues,
        DUPLICATE: IssueSummary("the same file as an image that is kept", "copies", 1, len(same)),
    }
    similar: list[ImageFinding] = []
    if near is not None:
        similar = list(_find_similar(near, {found.row for found in same}))
        meaning = "the same picture as an image that is kept"
        issues[NEAR_DUPLICATE] = IssueSummary(meaning, "bits_apart", MAX_DISTANCE, len(similar))
    findings = (*quality.findings, *same, *similar)
    return msgspec.structs.replace(quality, issues=issues, findings=findings)


def _find_identical(rows: pa.Table) -> Iterator[ImageFinding]:
    for group in find_groups(rows):
        kept, *others = map(_reference, group)
        for other in others:
            yield _finding(DUPLICATE, other, len(group), kept)


def _find_similar(near: NearDuplicates, identical: set[int]) -> Iterator[ImageFinding]:
    """Yield the images to exclude so that no two images are near, except identical ones."""
    excluded = set(near.keys)
    for pair in near.pairs:
        if pair.other.key in excluded and pair.other.row not in identical:
            kept, other = map(_reference, (pair.kept, pair.other))
            yield _finding(NEAR_DUPLICATE, other, pair.hamming_distance, kept)


def _reference(image: DuplicateRecord | NearImage) -> ImageReference:
    return ImageReference(image.key, image.split, image.labels, image.row)


def _finding(issue: str, image: ImageReference, value: float, kept: ImageReference) -> ImageFinding:
    return ImageFinding(
        issue, image.key, image.split, image.labels, float(value), image.row, duplicate_of=kept
    )


def _rank(found: ImageFinding) -> tuple[bool, bool, str]:
    """Return a key by which leaks come first, and then conflicts."""
    kept = found.duplicate_of
    assert kept is not None
    return found.split == kept.split, found.labels == kept.labels, found.key
