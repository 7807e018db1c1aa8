"""Mean average precision of a validation, from a histogram of logits.

The logits of each class are counted in bins of equal width, images with and without the label
separately. So the state has a fixed size, and the counts also give the threshold of each class.
Images in the same bin count as equal. The resolution of a probability is 0.008 or finer.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from trainers.tasks.thresholds import best_bins, sigmoid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_BINS = 1024
_LOWEST = -16.0
_BINS_PER_UNIT = 32.0


class ValidationMetric(keras.metrics.Metric):  # type: ignore[misc]
    """Counts logits in bins; its result is the mean average precision.

    Keras updates the metrics of a model in training, too. So the metric counts only within
    `counting`. A step is traced when it first runs: in training, it contains no counting.

    Args:
        classes: the number of classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(name="mean_average_precision")
        self._is_counting = False
        self._classes = classes
        shape = (2, classes * _BINS)
        self.counts = self.add_variable(shape, initializer="zeros", name="counts")

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the batches of a validation in the block."""
        self._is_counting = True
        try:
            yield
        finally:
            self._is_counting = False

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # noqa: ARG002
        """Count a batch: multi-hot labels and logits, (batch, classes)."""
        if not self._is_counting:
            return
        places = ops.floor((ops.cast(y_pred, "float32") - _LOWEST) * _BINS_PER_UNIT)
        bins = ops.cast(ops.clip(places, 0, _BINS - 1), "int32")
        flat = ops.reshape(bins + ops.arange(self._classes) * _BINS, (-1,))
        has_label = ops.reshape(ops.cast(ops.cast(y_true, "float32") > 0.5, "float32"), (-1,))
        added = [
            ops.segment_sum(values, flat, num_segments=self._classes * _BINS)
            for values in (1 - has_label, has_label)
        ]
        self.counts.assign(self.counts + ops.stack(added))

    def result(self) -> Any:
        """Return the mean of the average precision over the classes that an image has."""
        if not self._is_counting:
            return ops.zeros(())
        absent, present = ops.unstack(self._falling_counts(), num=2)
        found = ops.cumsum(present, axis=-1)
        precision = found / ops.maximum(found + ops.cumsum(absent, axis=-1), 1)
        images = ops.sum(present, axis=-1)
        of_class = ops.sum(precision * present, axis=-1) / ops.maximum(images, 1)
        classes = ops.sum(ops.cast(images > 0, "float32"))
        return ops.sum(of_class) / ops.maximum(classes, 1)

    def thresholds(self) -> tuple[float, ...]:
        """Return, for each class, the score with the highest F1; see `best_bins`."""
        absent, present = ops.convert_to_numpy(self._falling_counts()).astype(np.int64)
        edges = _LOWEST + np.arange(_BINS)[::-1] / _BINS_PER_UNIT
        scores = sigmoid(edges)  # as `MultiLabel.probabilities`, so that an edge is predicted
        scores[-1] = 0.0  # the last bin also has all lower scores
        chosen: NDArray[np.float64] = scores[best_bins(absent, present, scores)]
        return tuple(chosen.tolist())

    def _falling_counts(self) -> Any:
        """Return the counts (2, classes, bins), with the highest logits first."""
        return ops.flip(ops.reshape(self.counts, (2, self._classes, _BINS)), axis=-1)
