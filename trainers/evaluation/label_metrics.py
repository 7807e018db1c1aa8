"""Metrics of several labels per image, from logits and multi-hot labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate, pluralize
from trainers.evaluation.metrics import describe_left_out, format_percent, ratio
from trainers.evaluation.mistakes import LabelMistake
from trainers.evaluation.notebook import MAX_CLASSES, evaluation_html
from trainers.tasks.multi_label import MultiLabel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_NAME_CHARACTERS = 60


class LabelMetrics(msgspec.Struct, frozen=True):
    """The metrics of one class; a metric is None if its denominator is 0.

    Attributes:
        name: the name of the class.
        images: the number of images with the label.
        threshold: the lowest score at which the class is predicted.
        average_precision: the area under the curve of precision by recall, in steps.
        precision: the fraction of the predictions that are right.
        recall: the fraction of the images with the label that are predicted.
        f1: the harmonic mean of precision and recall.
        true_positives: the number of images with the label for which the class is predicted.
        false_positives: the number of images without the label for which the class is predicted.
        false_negatives: the number of images with the label for which it is not predicted.
        true_negatives: the number of images without the label for which it is not predicted.
    """

    name: str
    images: int
    threshold: float
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


class MultiLabelEvaluation(msgspec.Struct, frozen=True):
    """The result of an evaluation of the task `multi-label`, and the output of `evaluate --json`.

    Attributes:
        split: the split that the records serve as: `test`, `validation` or `train`.
        images: the number of images.
        mean_average_precision: the mean of `average_precision` over the classes that an image has;
            None if no image has a label.
        micro_f1: F1 over the predictions for all classes together; None if there is neither a label
            nor a prediction.
        macro_f1: the mean of F1 over the classes that an image has; None if no image has a label.
        binary_accuracy: the fraction of right predictions, of each class for each image.
        loss: the mean binary cross-entropy over images and classes, in nats.
        per_class: the metrics of each class, in the order of the label map.
        mistakes: the wrong predictions for a class that are furthest from right, the worst first.
        excluded_images: the number of images that were left out because the run trained on them.
        damaged_records: the number of damaged records that were skipped.
        task: the task of the run.
    """

    split: str
    images: int
    mean_average_precision: float | None
    micro_f1: float | None
    macro_f1: float | None
    binary_accuracy: float
    loss: float
    per_class: tuple[LabelMetrics, ...]
    mistakes: tuple[LabelMistake, ...] = ()
    excluded_images: int = 0
    damaged_records: int = 0
    task: Literal["multi-label"] = "multi-label"

    def __str__(self) -> str:
        return "\n".join((*_class_table(self.per_class), *self._totals()))

    def __repr__(self) -> str:
        heading = f"MultiLabelEvaluation on {self.split}: {pluralize(self.images, 'image')}"
        shown = self.per_class[:MAX_CLASSES]
        hidden = len(self.per_class) - len(shown)
        more = [f"… {pluralize(hidden, 'more class')} in per_class"] if hidden else []
        return "\n".join((heading, *_class_table(shown), *more, *self._totals()))

    def _repr_html_(self) -> str:
        facts = (
            ("split", f"{self.split}, {pluralize(self.images, 'image')}"),
            ("mean average precision", format_percent(self.mean_average_precision)),
            ("micro F1", format_percent(self.micro_f1)),
            ("macro F1", format_percent(self.macro_f1)),
            ("binary accuracy", f"{self.binary_accuracy:.1%}"),
            ("loss", f"{self.loss:.3f}"),
        )
        shown = self.per_class[:MAX_CLASSES]
        classes = (
            (each.name, f"{each.images:,}", f"{each.threshold:.3f}", *map(format_percent, rates))
            for each in shown
            for rates in ((each.average_precision, each.precision, each.recall, each.f1),)
        )
        return evaluation_html(
            facts,
            ("class", "images", "threshold", "AP", "precision", "recall", "F1"),
            classes,
            more_classes=len(self.per_class) - len(shown),
        )

    def _totals(self) -> Iterator[str]:
        yield (
            f"{self.split}: mean average precision {format_percent(self.mean_average_precision)}, "
            f"micro F1 {format_percent(self.micro_f1)}, macro F1 {format_percent(self.macro_f1)}, "
            f"binary accuracy {self.binary_accuracy:.1%}, "
            f"loss {self.loss:.3f} on {pluralize(self.images, 'image')}"
        )
        yield from describe_left_out(self.split, self.excluded_images, self.damaged_records)


def _class_table(classes: Sequence[LabelMetrics]) -> Iterator[str]:
    names = [abbreviate(escape_for_display(each.name), _NAME_CHARACTERS) for each in classes]
    width = max(len("class"), *map(len, names))
    yield f"{'class':{width}}      AP  precision  recall      F1  threshold  images"
    for name, each in zip(names, classes, strict=True):
        yield (
            f"{name:{width}}  {format_percent(each.average_precision):>6}  "
            f"{format_percent(each.precision):>9}  {format_percent(each.recall):>6}  "
            f"{format_percent(each.f1):>6}  {each.threshold:>9.3f}  {each.images:>6,}"
        )


class LabelMetricsAccumulator:
    """Logits and labels of all batches, at most 9 bytes for each class of each image.

    Args:
        thresholds: the threshold of each class.
    """

    def __init__(self, thresholds: Sequence[float]) -> None:
        self._thresholds = np.asarray(thresholds)
        self._logits: list[NDArray[np.float32]] = []
        self._labels: list[NDArray[np.bool_]] = []
        self._loss_sum = 0.0

    def add(self, logits: NDArray[np.floating], labels: NDArray[np.floating]) -> None:
        """Add a batch: logits and multi-hot labels, (images, classes)."""
        self._logits.append(logits.astype(np.float32))
        self._labels.append(labels > 0.5)
        exact = logits.astype(np.float64)
        self._loss_sum += float((np.logaddexp(0, exact) - exact * labels).mean(axis=1).sum())

    def summarize(
        self,
        split: str,
        labels: Sequence[str],
        mistakes: tuple[LabelMistake, ...] = (),
        excluded_images: int = 0,
    ) -> MultiLabelEvaluation:
        """Return the metrics of all added images; at least one image must have been added."""
        # The batches are released, and probabilities computed by class, so that memory stays small.
        logits = np.concatenate(self._logits)
        self._logits = [logits]
        present = np.concatenate(self._labels)
        self._labels = [present]
        predicted = np.empty_like(present)
        for label, threshold in enumerate(self._thresholds):
            predicted[:, label] = MultiLabel().outputs(logits[:, label]) >= threshold
        classes = tuple(
            _summarize_class(
                name,
                float(self._thresholds[label]),
                logits[:, label],
                present[:, label],
                predicted[:, label],
            )
            for label, name in enumerate(labels)
        )
        found = [each for each in classes if each.images]
        right = sum(each.true_positives for each in classes)
        marked = int(present.sum() + predicted.sum())
        return MultiLabelEvaluation(
            split=split,
            images=len(logits),
            mean_average_precision=_mean([each.average_precision or 0.0 for each in found]),
            micro_f1=ratio(2 * right, marked),
            macro_f1=_mean([each.f1 or 0.0 for each in found]),
            binary_accuracy=float((predicted == present).mean()),
            loss=self._loss_sum / len(logits),
            per_class=classes,
            mistakes=mistakes,
            excluded_images=excluded_images,
        )


def average_precision(scores: NDArray[np.floating], present: NDArray[np.bool_]) -> float | None:
    """Return the average precision of a class; None if no image has the label.

    The precision at each score is weighted by the increase of the recall at this score, without
    interpolation, as in `sklearn.metrics.average_precision_score`.

    Args:
        scores: a score or a logit of each image, (images,).
        present: whether the image has the label, (images,).
    """
    if not present.any():
        return None
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    # Images with equal scores are predicted together.
    ends = np.append((falling[1:] != falling[:-1]).nonzero()[0], len(falling) - 1)
    found = present[order].cumsum()[ends]
    gains = np.diff(found, prepend=0)
    return float((gains * found / (ends + 1)).sum() / found[-1])


def _summarize_class(
    name: str,
    threshold: float,
    logits: NDArray[np.float32],
    present: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
) -> LabelMetrics:
    images, marked = int(present.sum()), int(predicted.sum())
    right = int((present & predicted).sum())
    return LabelMetrics(
        name=name,
        images=images,
        threshold=threshold,
        average_precision=average_precision(logits, present),
        precision=ratio(right, marked),
        recall=ratio(right, images),
        f1=ratio(2 * right, images + marked),
        true_positives=right,
        false_positives=marked - right,
        false_negatives=images - right,
        true_negatives=len(present) - images - marked + right,
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
