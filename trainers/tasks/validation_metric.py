"""Metrics that only validation updates, and the histogram of logits in them.

Logits are counted in bins of equal width. So the state has a fixed size, and the counts also give
thresholds. Images in the same bin count as equal. The resolution of a probability is 0.008 or
finer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from trainers.tasks.thresholds import sigmoid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainers.tasks.base import Findings

BINS = 1024
_LOWEST = -16.0
_BINS_PER_UNIT = 32.0


class ValidationMetric(keras.metrics.Metric, ABC):  # type: ignore[misc]
    """A metric that counts batches only within `counting`.

    Keras updates the metrics of a model in training, too. A step is traced when it first runs: in
    training, it contains no counting.

    Args:
        name: the name of the result.

    Attributes:
        is_reported: whether the result is a metric of the run.
    """

    is_reported = True

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._is_counting = False

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the batches of a validation in the block."""
        self._is_counting = True
        try:
            yield
        finally:
            self._is_counting = False

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # noqa: ARG002
        """Count a batch of labels and logits (batch, classes)."""
        if self._is_counting:
            self.count(y_true, ops.cast(y_pred, "float32"))

    def result(self) -> Any:
        """Return the result of the counted batches, a scalar; 0 outside `counting`."""
        return self.measure() if self._is_counting else ops.zeros(())

    @abstractmethod
    def count(self, labels: Any, logits: Any) -> None:
        """Add a batch: the labels of the task, and float32 logits (batch, classes)."""

    @abstractmethod
    def measure(self) -> Any:
        """Return the result of the counted batches, a scalar."""

    @abstractmethod
    def findings(self) -> Findings:
        """Return what the counted batches show besides the result."""


def bins_of(logits: Any) -> Any:
    """Return the bin of each logit, int32 of the same shape."""
    places = ops.floor((logits - _LOWEST) * _BINS_PER_UNIT)
    return ops.cast(ops.clip(places, 0, BINS - 1), "int32")


def falling_scores() -> NDArray[np.float64]:
    """Return the probability at the lower edge of each bin, the highest first, (BINS,).

    They are computed as the probabilities of predictions, so that an edge is reached exactly.
    """
    scores = sigmoid(_LOWEST + np.arange(BINS)[::-1] / _BINS_PER_UNIT)
    scores[-1] = 0.0  # the last bin also has all lower scores
    return scores
