"""Measurements of the images of a shard, made during a conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.writing.crash_isolation import Normalize
from records.images import NormalizedImage

if TYPE_CHECKING:
    from records.format.index import ShardSummary
    from records.quality.pixels import PixelScores
    from records.storage import Storage

# `records.quality` is imported when it is needed: few conversions measure images.


def scoring_normalize() -> Normalize:
    """Return `normalize_image`, with measurements of each image in its result."""
    from records.quality.measurement import normalize_and_score

    return normalize_and_score


class ShardScores:
    """The measurements of the images of a shard, in the order of its records."""

    def __init__(self) -> None:
        self._scores: list[PixelScores] = []

    def add(self, stored: NormalizedImage) -> None:
        """Add the measurements of an image that `scoring_normalize` has measured."""
        from records.quality.measurement import ScoredImage

        assert isinstance(stored, ScoredImage)
        self._scores.append(stored.scores)

    def save(self, output: Storage, summary: ShardSummary) -> None:
        """Save the measurements of a written shard, whose index does not exist yet.

        Raises:
            OutputError: the output cannot be written, or a file of the user has the name.
            StorageError: storage failed after retries.
        """
        from records.measurements.files import save_in_run
        from records.quality.measurement import PIXEL_SCORES, to_score_table

        save_in_run(output, summary, PIXEL_SCORES, to_score_table(self._scores))
