"""Result of the search for wrong labels, and its text form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.format.layout import SplitName
from records.text.escaping import escape_for_display
from records.text.formatting import align, pluralize
from trainers.tasks.intervals import Interval, format_accuracy

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 10


class LabelError(msgspec.Struct, frozen=True):
    """An image whose label is probably wrong.

    Attributes:
        key: the key of the image.
        split: the split of the image.
        class_name: the class that the dataset has.
        suggested: the class with the highest probability.
        score: the probability of the class that the dataset has, 0 to 1; the lower, the surer.
        suggested_score: the probability of the suggested class.
        row: the number of the index row of the image, from 0, over all splits.
    """

    key: str
    split: SplitName
    class_name: str = msgspec.field(name="class")
    suggested: str
    score: float
    suggested_score: float
    row: int


class Outlier(msgspec.Struct, frozen=True):
    """An image that is far from the images of every class.

    Attributes:
        key: the key of the image.
        split: the split of the image.
        class_name: the class that the dataset has.
        distance: the cosine distance of its features to the mean of the nearest class, 0 to 2.
        row: the number of the index row of the image, from 0, over all splits.
    """

    key: str
    split: SplitName
    class_name: str = msgspec.field(name="class")
    distance: float
    row: int


class ClassOverlap(msgspec.Struct, frozen=True):
    """Two classes that the model confuses.

    Attributes:
        classes: the names of the classes.
        images: the estimated number of images with the label of one of them that belong to the
            other.
    """

    classes: tuple[str, str]
    images: int


class LabelErrors(msgspec.Struct, frozen=True):
    """Images of a dataset whose labels people should check.

    Attributes:
        model: the name of the backbone.
        folds: the number of parts of the cross-validation.
        images: the number of images with features.
        damaged_records: the number of damaged records, which have no features.
        accuracy: the fraction of images whose label has the highest out-of-sample probability.
        accuracy_interval: the bounds of the 95 % confidence interval of `accuracy`.
        candidates: the images whose label is probably wrong, the surest first.
        outliers: the images that are far from every class, the farthest first.
        outlier_limit: the distance beyond which an image is an outlier.
        overlaps: the pairs of classes that are confused, the most images first.
    """

    model: str
    folds: int
    images: int
    damaged_records: int
    accuracy: float
    accuracy_interval: Interval
    candidates: tuple[LabelError, ...]
    outliers: tuple[Outlier, ...]
    outlier_limit: float
    overlaps: tuple[ClassOverlap, ...]

    def keys(self) -> list[str]:
        """Return the keys of the candidates, the surest first."""
        return [each.key for each in self.candidates]

    def corrections(self) -> dict[str, str]:
        """Return the suggested class of each candidate by key, as `shardmill.relabel` takes it."""
        return {each.key: each.suggested for each in self.candidates}

    def lines(self) -> list[str]:
        """Return the numbers, and the first candidates, outliers and overlaps, as lines."""
        accuracy = format_accuracy(self.accuracy, self.images)
        damaged = ""
        if self.damaged_records:
            damaged = f", without {pluralize(self.damaged_records, 'damaged record')}"
        return [
            (
                f"{pluralize(self.images, 'image')}{damaged}: accuracy {accuracy} "
                f"in {self.folds} folds with {self.model}"
            ),
            (
                f"{pluralize(len(self.candidates), 'label')} may be wrong, "
                f"{pluralize(len(self.outliers), 'outlier')}"
            ),
            *_table(self._candidate_rows(), len(self.candidates)),
            *_table(self._outlier_rows(), len(self.outliers)),
            *_table(self._overlap_rows(), len(self.overlaps)),
        ]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _candidate_rows(self) -> Iterator[tuple[str, ...]]:
        yield "class", "", "suggested", "", "split", "key"
        for each in self.candidates[:_SHOWN]:
            names = (each.class_name, f"{each.score:.1%}", each.suggested)
            yield (*names, f"{each.suggested_score:.1%}", each.split, each.key)

    def _outlier_rows(self) -> Iterator[tuple[str, ...]]:
        yield "outlier", "distance", "split", "key"
        for each in self.outliers[:_SHOWN]:
            yield each.class_name, f"{each.distance:.3f}", each.split, each.key

    def _overlap_rows(self) -> Iterator[tuple[str, ...]]:
        yield "confused classes", "", "images"
        for each in self.overlaps[:_SHOWN]:
            yield (*each.classes, f"{each.images:,}")


def _table(rows: Iterator[tuple[str, ...]], found: int) -> list[str]:
    """Return a table with an empty line before it; no line without rows."""
    if not found:
        return []
    lines = align([tuple(map(escape_for_display, row)) for row in rows])
    more = [f"… {found - _SHOWN:,} more"] if found > _SHOWN else []
    return ["", *lines, *more]
