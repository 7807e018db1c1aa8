"""Figures of a classification, from logits and labels. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class ClassFigures(msgspec.Struct, frozen=True):
    """One class: None where a figure is a division by 0."""

    name: str
    images: int
    precision: float | None
    recall: float | None


class Evaluation(msgspec.Struct, frozen=True):
    """What `evaluate --json` prints.

    Args:
        split: what was measured on.
        images: how many.
        accuracy: the part of images whose class has the highest score.
        loss: mean cross-entropy, in nats.
        per_class: in the order of the label map.
        confusion: counts, rows the true class, columns the predicted one.
    """

    split: str
    images: int
    accuracy: float
    loss: float
    per_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log of probabilities, (images, classes) as `logits`."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_of_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted - log_of_sum)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities, (images, classes) as `logits`; each row sums to 1."""
    return np.asarray(np.exp(log_softmax(logits)))


def count_confusion(
    logits: NDArray[np.floating], labels: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Counts (classes, classes): rows the true class, columns the one of the highest logit."""
    cells = labels * classes + logits.argmax(axis=1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def sum_loss(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The sum of the images' cross-entropy, in nats."""
    return -float(log_softmax(logits)[np.arange(len(labels)), labels].sum())


def summarize(
    split: str, labels: Sequence[str], confusion: NDArray[np.int64], loss_sum: float
) -> Evaluation:
    """All figures, from counts (classes, classes) and the sum of losses."""
    images = int(confusion.sum())
    right, of_class, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    per_class = tuple(
        ClassFigures(
            name=name,
            images=int(of_class[label]),
            precision=_ratio(right[label], predicted[label]),
            recall=_ratio(right[label], of_class[label]),
        )
        for label, name in enumerate(labels)
    )
    rows = tuple(tuple(row) for row in confusion.tolist())
    return Evaluation(
        split, images, float(right.sum()) / images, loss_sum / images, per_class, rows
    )


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None
