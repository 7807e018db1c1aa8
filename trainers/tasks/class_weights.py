"""Weights of classes in the loss: balanced, or by class name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from records.errors import UsageError
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.tasks.base import ClassCounts, balance_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from trainers.options import ClassWeights
    from trainers.tasks.base import Task


def weigh_classes(
    chosen: ClassWeights, labels: Sequence[str], task: Task, count: Callable[[], ClassCounts]
) -> NDArray[np.float64] | None:
    """Return the weights of the images without and with each label, (2, classes).

    With one label per image, only the weights of the images with a label have a meaning.

    Args:
        chosen: the option.
        labels: the names of the classes.
        task: the task of the run.
        count: a function that counts the training images.

    Returns:
        None for equal weights.
    """
    if chosen == "none":
        return None
    if chosen == "balanced":
        counts = count()
        if task.is_exclusive:
            weights = balance_classes(counts.of_class)
            return np.array([[1.0] * len(weights), list(weights.values())])
        return balance_labels(counts)
    return np.array([[1.0] * len(labels), [chosen.get(name, 1.0) for name in labels]])


def balance_labels(counts: ClassCounts) -> NDArray[np.float64]:
    """Return weights that give the images without and with a label the same total weight."""
    pairs = (balance_classes((counts.images - count, count)) for count in counts.of_class)
    return np.array([(pair[0], pair[1]) for pair in pairs]).T


def check_class_weights(chosen: ClassWeights, labels: Sequence[str]) -> None:
    """Check that weights by name fit the classes. Raises UsageError."""
    if isinstance(chosen, str):
        return
    unknown = [name for name in chosen if name not in set(labels)]
    if unknown:
        similar = get_close_matches(unknown[0], labels, n=1)
        raise UsageError(
            "--class-weights: the dataset has no class of this name",
            expected=f"one of its {pluralize(len(labels), 'class')}",
            got=escape_for_display(unknown[0]),
            hint=f"did you mean {escape_for_display(similar[0])}?" if similar else None,
        )
    if not any(chosen.get(name, 1.0) for name in labels):
        raise UsageError("--class-weights: the weights of all classes are 0")
