"""Scores of the best classes, and predicted classes, in a validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from trainers.tasks.base import Findings
from trainers.tasks.thresholds import score_that_keeps
from trainers.tasks.validation_metric import BINS, ValidationMetric, bins_of, falling_scores

_KEPT = 0.95
"""The share of the validation images whose best class reaches the threshold of rejection."""
_EXCLUDED = -1e9


class Confidence(ValidationMetric):
    """Counts the scores of the best classes in bins, and the images of each class.

    The probability p of the best class is counted as its logit, log(p / (1 - p)), which the
    softmax of float32 would round to 1.

    Args:
        classes: the number of classes.
    """

    is_reported = False

    def __init__(self, classes: int) -> None:
        super().__init__("validation_confidence")
        self._classes = classes
        self.scores = self.add_variable((BINS,), initializer="zeros", name="scores")
        shape = (2, classes)
        self.images = self.add_variable(shape, initializer="zeros", name="images")

    def count(self, labels: Any, logits: Any) -> None:
        """See `ValidationMetric.count`.

        Labels are integers (batch,), or one-hot (batch, classes) from a model that mixes images.
        """
        best = ops.cast(ops.argmax(logits, axis=-1), "int32")
        is_best = ops.equal(ops.arange(self._classes, dtype="int32"), best[:, None])
        others = ops.logsumexp(ops.where(is_best, _EXCLUDED, logits), axis=-1)
        ones = ops.ones_like(others)
        counted = ops.segment_sum(
            ones, bins_of(ops.max(logits, axis=-1) - others), num_segments=BINS
        )
        self.scores.assign(self.scores + counted)
        is_one_hot = len(labels.shape) == 2 and labels.shape[-1] == self._classes > 1
        numbers = ops.argmax(labels, axis=-1) if is_one_hot else ops.reshape(labels, (-1,))
        true = ops.cast(numbers, "int32")
        pair = [ops.segment_sum(ones, of, num_segments=self._classes) for of in (true, best)]
        self.images.assign(self.images + ops.stack(pair))

    def measure(self) -> Any:
        """Return the number of counted images; it is not reported."""
        return ops.sum(self.scores)

    def findings(self) -> Findings:
        """Return the threshold of rejection, and the classes that no image is predicted as."""
        scores = ops.convert_to_numpy(self.scores).astype(np.int64)
        true, predicted = ops.convert_to_numpy(self.images).astype(np.int64)
        return Findings(
            reject_below=score_that_keeps(_KEPT, scores[::-1], falling_scores()),
            never_predicted=tuple(np.flatnonzero((true > 0) & (predicted == 0)).tolist()),
        )
