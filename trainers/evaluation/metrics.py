"""Classification metrics from logits and labels."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate, pluralize
from trainers.evaluation.calibration import Calibration, count_bins, empty_bins, summarize_bins
from trainers.evaluation.mistakes import Mistake
from trainers.evaluation.notebook import MAX_CLASSES, evaluation_html, matrix_html
from trainers.tasks.classification import log_softmax, softmax
from trainers.tasks.intervals import Interval, format_accuracy, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_TOP = 5
_LISTED_CLASSES = 20
_LISTED_MISTAKES = 3
_NAME_CHARACTERS = 60
MAX_DENSE_CLASSES = 1000
"""With more classes, results list only the classes and the confusions that occur."""


class ClassMetrics(msgspec.Struct, frozen=True):
    """The metrics of one class; a metric is None if its denominator is 0."""

    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


class Evaluation(msgspec.Struct, frozen=True):
    """The result of an evaluation, and the output of `evaluate --json`.

    Attributes:
        split: the split that the records serve as: `test`, `validation` or `train`.
        images: the number of images.
        accuracy: the fraction of images whose true class has the highest score.
        accuracy_interval: the bounds of the 95 % confidence interval of `accuracy`.
        top_5_accuracy: the fraction of images whose true class has one of the five highest scores;
            None if there are at most five classes.
        loss: the mean cross-entropy, in nats.
        per_class: the metrics of each class, in the order of the label map. With more than 1,000
            classes, only of the classes that have images or predictions.
        confusion: image counts; each row is a true class, each column is a predicted class. None
            with more than 1,000 classes.
        calibration: the deviation of confidence from accuracy.
        mistakes: the wrong predictions with the highest scores, the highest first.
        confusion_cells: the cells of the confusion matrix that are not 0, as (true label, predicted
            label, images), sorted; None with at most 1,000 classes.
        excluded_images: the number of images that were left out because the run trained on them.
        damaged_records: the number of damaged records that were skipped.
        task: the task of the run.
    """

    split: str
    images: int
    accuracy: float
    accuracy_interval: Interval
    top_5_accuracy: float | None
    loss: float
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...] | None
    calibration: Calibration
    mistakes: tuple[Mistake, ...] = ()
    confusion_cells: tuple[tuple[int, int, int], ...] | None = None
    excluded_images: int = 0
    damaged_records: int = 0
    task: Literal["classification"] = "classification"

    def __str__(self) -> str:
        if self.confusion is not None:
            return "\n".join((*class_table(self.per_class), *self._totals()))
        present = [each for each in self.per_class if each.images]
        worst = sorted(present, key=lambda each: (each.f1 or 0, -each.images))[:_LISTED_CLASSES]
        heading = f"{pluralize(len(present), 'class')} with images; these {len(worst)} have the "
        heading += "lowest F1, --json lists all"
        return "\n".join((heading, *class_table(worst), *self._totals()))

    def __repr__(self) -> str:
        heading = f"Evaluation on {self.split}: {pluralize(self.images, 'image')}"
        shown = self.per_class[:MAX_CLASSES]
        hidden = len(self.per_class) - len(shown)
        more = [f"… {pluralize(hidden, 'more class')} in per_class"] if hidden else []
        return "\n".join((heading, *class_table(shown), *more, *self._totals()))

    def _repr_html_(self) -> str:
        top_5 = self.top_5_accuracy
        facts = [
            ("split", f"{self.split}, {pluralize(self.images, 'image')}"),
            ("accuracy", format_accuracy(self.accuracy, self.images)),
            *([] if top_5 is None else [("top-5 accuracy", format_accuracy(top_5, self.images))]),
            ("loss", f"{self.loss:.3f}"),
            ("expected calibration error", f"{self.calibration.expected_error:.1%}"),
        ]
        shown = self.per_class[:MAX_CLASSES]
        classes = (
            (each.name, f"{each.images:,}", *map(format_percent, _rates(each))) for each in shown
        )
        names = [each.name for each in self.per_class]
        return evaluation_html(
            facts,
            ("class", "images", "precision", "recall", "F1"),
            classes,
            more_classes=len(self.per_class) - len(shown),
            matrix=matrix_html(names, self.confusion),
        )

    def _totals(self) -> Iterator[str]:
        top_5 = self.top_5_accuracy
        yield (
            f"{self.split}: accuracy {format_accuracy(self.accuracy, self.images)}, "
            f"{'' if top_5 is None else f'top-5 accuracy {format_accuracy(top_5, self.images)}, '}"
            f"loss {self.loss:.3f} on {pluralize(self.images, 'image')}"
        )
        yield f"expected calibration error {self.calibration.expected_error:.1%}"
        yield from self._describe_mistakes()
        yield from describe_left_out(self.split, self.excluded_images, self.damaged_records)

    def _describe_mistakes(self) -> Iterator[str]:
        """Yield a line with the most frequent mistakes, of up to `MAX_DENSE_CLASSES` classes."""
        counts = (
            (images, -true, -predicted)
            for true, row in enumerate(self.confusion or ())
            for predicted, images in enumerate(row)
            if images and true != predicted
        )
        names = [_shorten(each.name) for each in self.per_class]
        pairs = [
            f"{names[-true]} as {names[-predicted]} ({images:,})"
            for images, true, predicted in heapq.nlargest(_LISTED_MISTAKES, counts)
        ]
        if pairs:
            yield f"most frequent mistakes: {', '.join(pairs)}"


def _rates(found: ClassMetrics) -> tuple[float | None, ...]:
    return found.precision, found.recall, found.f1


def class_table(classes: Sequence[ClassMetrics]) -> Iterator[str]:
    """Yield the header, and a line per class."""
    names = [_shorten(each.name) for each in classes]
    width = max(map(len, ("class", *names)))
    yield f"{'class':{width}}  precision  recall      F1  images"
    for name, each in zip(names, classes, strict=True):
        yield (
            f"{name:{width}}  {format_percent(each.precision):>9}  "
            f"{format_percent(each.recall):>6}  {format_percent(each.f1):>6}  {each.images:>6,}"
        )


def _shorten(name: str) -> str:
    return abbreviate(escape_for_display(name), _NAME_CHARACTERS)


def describe_left_out(split: str, excluded_images: int, damaged_records: int) -> Iterator[str]:
    """Yield a line about the images, and one about the records, that are not measured."""
    if excluded_images:
        images = pluralize(excluded_images, "image")
        yield f"left out {images} of {split}, on which the run trained"
    if damaged_records:
        yield f"skipped {pluralize(damaged_records, 'damaged record')} of {split}"


class MetricsAccumulator:
    """Sums of the metrics over batches.

    Their size depends on the number of different confusions, and not on the number of images.

    Args:
        classes: the number of classes.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._cells: Counter[int] = Counter()
        self.bins = empty_bins()
        self.loss_sum = 0.0
        self.top_hits = 0

    def add(self, logits: NDArray[np.floating], labels: NDArray[np.int64]) -> None:
        """Add a batch: logits (images, classes), labels (images,)."""
        self._cells.update((labels * self._classes + logits.argmax(axis=1)).tolist())
        self.bins += count_bins(softmax(logits), labels)
        self.loss_sum += sum_loss(logits, labels)
        self.top_hits += count_top(logits, labels)

    def summarize(
        self,
        split: str,
        labels: Sequence[str],
        mistakes: tuple[Mistake, ...] = (),
        excluded_images: int = 0,
    ) -> Evaluation:
        """Return the metrics of all added images; at least one image must have been added."""
        cells = self._sorted_cells()
        is_dense = self._classes <= MAX_DENSE_CLASSES
        true, predicted, counts = cells.T
        images, right = int(counts.sum()), int(counts[true == predicted].sum())
        return Evaluation(
            split=split,
            images=images,
            accuracy=right / images,
            accuracy_interval=wilson_interval(right, images),
            top_5_accuracy=self.top_hits / images if len(labels) > _TOP else None,
            loss=self.loss_sum / images,
            per_class=tuple(summarize_classes(cells, labels, all_classes=is_dense)),
            confusion=_to_matrix(cells, self._classes) if is_dense else None,
            calibration=summarize_bins(self.bins),
            mistakes=mistakes,
            confusion_cells=None if is_dense else tuple(map(tuple, cells.tolist())),
            excluded_images=excluded_images,
        )

    def _sorted_cells(self) -> NDArray[np.int64]:
        """Return true label, predicted label and image count of each confusion, (N, 3)."""
        places, counts = np.array(sorted(self._cells.items()), np.int64).T
        return np.stack([*np.divmod(places, self._classes), counts], axis=1)


def count_top(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> int:
    """Return the number of images whose true class has one of the five highest logits."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    higher = logits > own
    # If logits are equal, the lower label is ahead, as in argmax.
    ahead = (logits == own) & (np.arange(logits.shape[1]) < labels[:, None])
    return int(((higher | ahead).sum(axis=1) < _TOP).sum())


def sum_loss(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the cross-entropy summed over the images, in nats."""
    return -float(log_softmax(logits)[np.arange(len(labels)), labels].sum())


def _to_matrix(cells: NDArray[np.int64], classes: int) -> tuple[tuple[int, ...], ...]:
    matrix = np.zeros((classes, classes), np.int64)
    matrix[cells[:, 0], cells[:, 1]] = cells[:, 2]
    return tuple(map(tuple, matrix.tolist()))


def summarize_classes(
    cells: NDArray[np.int64], labels: Sequence[str], *, all_classes: bool
) -> Iterator[ClassMetrics]:
    """Yield the metrics of all classes, or of those that have images or predictions."""
    right, of_class, predicted = np.zeros((3, len(labels)), np.int64)
    for true, guess, images in cells.tolist():
        of_class[true] += images
        predicted[guess] += images
        right[true] += images if true == guess else 0
    for label, name in enumerate(labels):
        if all_classes or of_class[label] or predicted[label]:
            yield ClassMetrics(
                name=name,
                images=int(of_class[label]),
                precision=ratio(right[label], predicted[label]),
                recall=ratio(right[label], of_class[label]),
                f1=ratio(2 * right[label], of_class[label] + predicted[label]),
            )


def ratio(part: int | np.int64, whole: int | np.int64) -> float | None:
    """Return a fraction; None if `whole` is 0."""
    return float(part / whole) if whole else None


def format_percent(part: float | None) -> str:
    """Return a fraction as a percentage, or a dash."""
    return "–" if part is None else f"{part:.1%}"
