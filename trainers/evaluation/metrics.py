"""Classification metrics from logits and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from records.text.escaping import escape_for_display
from trainers.evaluation.calibration import Calibration, count_bins, empty_bins, summarize_bins
from trainers.evaluation.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_TOP = 5
_SHOWN_CLASSES = 16


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
        top_5_accuracy: the fraction of images whose true class has one of the five highest scores;
            None if there are at most five classes.
        loss: the mean cross-entropy, in nats.
        per_class: the metrics of each class, in the order of the label map.
        confusion: image counts; each row is a true class, each column is a predicted class.
        calibration: the deviation of confidence from accuracy.
        mistakes: the wrong predictions with the highest scores, the highest first.
    """

    split: str
    images: int
    accuracy: float
    top_5_accuracy: float | None
    loss: float
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: Calibration
    mistakes: tuple[Mistake, ...] = ()

    def __str__(self) -> str:
        return "\n".join((*self._class_table(self.per_class), *self._totals()))

    def __repr__(self) -> str:
        heading = f"Evaluation on {self.split}: {self.images:,} images"
        shown = self.per_class[:_SHOWN_CLASSES]
        hidden = len(self.per_class) - len(shown)
        more = [f"… {hidden} more classes in per_class"] if hidden else []
        return "\n".join((heading, *self._class_table(shown), *more, *self._totals()))

    def _class_table(self, classes: Sequence[ClassMetrics]) -> Iterator[str]:
        names = [escape_for_display(each.name) for each in classes]
        width = max(len("class"), *map(len, names))
        yield f"{'class':{width}}  precision  recall      F1  images"
        for name, each in zip(names, classes, strict=True):
            yield (
                f"{name:{width}}  {_percent(each.precision):>9}  {_percent(each.recall):>6}  "
                f"{_percent(each.f1):>6}  {each.images:>6,}"
            )

    def _totals(self) -> Iterator[str]:
        top_5 = self.top_5_accuracy
        yield (
            f"{self.split}: accuracy {self.accuracy:.1%}, "
            f"{'' if top_5 is None else f'top-5 accuracy {top_5:.1%}, '}"
            f"loss {self.loss:.3f} on {self.images:,} images"
        )
        yield f"expected calibration error {self.calibration.expected_error:.1%}"


class MetricsAccumulator:
    """Sums of the metrics over batches.

    Their size depends on the number of classes, and not on the number of images.

    Args:
        classes: the number of classes.
    """

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self.bins = empty_bins()
        self.loss_sum = 0.0
        self.top_hits = 0

    def add(self, logits: NDArray[np.floating], labels: NDArray[np.int64]) -> None:
        """Add a batch: logits (images, classes), labels (images,)."""
        self.confusion += count_confusion(logits, labels, len(self.confusion))
        self.bins += count_bins(softmax(logits), labels)
        self.loss_sum += sum_loss(logits, labels)
        self.top_hits += count_top(logits, labels)

    def summarize(
        self, split: str, labels: Sequence[str], mistakes: tuple[Mistake, ...] = ()
    ) -> Evaluation:
        """Return the metrics of all added images; at least one image must have been added."""
        images = int(self.confusion.sum())
        return Evaluation(
            split=split,
            images=images,
            accuracy=float(self.confusion.trace()) / images,
            top_5_accuracy=self.top_hits / images if len(labels) > _TOP else None,
            loss=self.loss_sum / images,
            per_class=_summarize_classes(self.confusion, labels),
            confusion=tuple(tuple(row) for row in self.confusion.tolist()),
            calibration=summarize_bins(self.bins),
            mistakes=mistakes,
        )


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return log-probabilities (images, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_of_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted - log_of_sum)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return probabilities (images, classes); each row sums to 1."""
    return np.asarray(np.exp(log_softmax(logits)))


def count_confusion(
    logits: NDArray[np.floating], labels: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Return image counts (classes, classes), a row per true and a column per predicted class."""
    cells = labels * classes + logits.argmax(axis=1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


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


def _summarize_classes(
    confusion: NDArray[np.int64], labels: Sequence[str]
) -> tuple[ClassMetrics, ...]:
    right, of_class, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        ClassMetrics(
            name=name,
            images=int(of_class[label]),
            precision=_ratio(right[label], predicted[label]),
            recall=_ratio(right[label], of_class[label]),
            f1=_ratio(2 * right[label], of_class[label] + predicted[label]),
        )
        for label, name in enumerate(labels)
    )


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


def _percent(part: float | None) -> str:
    return "–" if part is None else f"{part:.1%}"
