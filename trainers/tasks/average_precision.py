"""Mean average precision of a validation, from a histogram of logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from trainers.tasks.base import Findings
from trainers.tasks.thresholds import best_bins
from trainers.tasks.validation_metric import BINS, ValidationMetric, bins_of, falling_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MeanAveragePrecision(ValidationMetric):
    """Counts the logits of each class in bins, images with and without the label separately.

    Args:
        classes: the number of classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__("mean_average_precision")
        self._classes = classes
        shape = (2, classes * BINS)
        self.counts = self.add_variable(shape, initializer="zeros", name="counts")

    def count(self, labels: Any, logits: Any) -> None:
        """See `ValidationMetric.count`; labels are multi-hot (batch, classes)."""
        flat = ops.reshape(bins_of(logits) + ops.arange(self._classes) * BINS, (-1,))
        has_label = ops.reshape(ops.cast(ops.cast(labels, "float32") > 0.5, "float32"), (-1,))
        added = [
            ops.segment_sum(values, flat, num_segments=self._classes * BINS)
            for values in (1 - has_label, has_label)
        ]
        self.counts.assign(self.counts + ops.stack(added))

    def measure(self) -> Any:
        """Return the mean of the average precision over the classes that an image has."""
        absent, present = ops.unstack(self._falling_counts(), num=2)
        found = ops.cumsum(present, axis=-1)
        precision = found / ops.maximum(found + ops.cumsum(absent, axis=-1), 1)
        images = ops.sum(present, axis=-1)
        of_class = ops.sum(precision * present, axis=-1) / ops.maximum(images, 1)
        classes = ops.sum(ops.cast(images > 0, "float32"))
        return ops.sum(of_class) / ops.maximum(classes, 1)

    def findings(self) -> Findings:
        """Return, for each class, the score with the highest F1; see `best_bins`."""
        absent, present = ops.convert_to_numpy(self._falling_counts()).astype(np.int64)
        scores = falling_scores()
        chosen: NDArray[np.float64] = scores[best_bins(absent, present, scores)]
        return Findings(thresholds=tuple(chosen.tolist()))

    def _falling_counts(self) -> Any:
        """Return the counts (2, classes, bins), with the highest logits first."""
        return ops.flip(ops.reshape(self.counts, (2, self._classes, BINS)), axis=-1)
