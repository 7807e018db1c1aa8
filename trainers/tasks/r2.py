"""R², the coefficient of determination, as a metric of scalar sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from trainers.config import Target

_SUMS = ("images", "values", "squares", "errors")


class R2(keras.metrics.Metric):  # type: ignore[misc]
    """The share of the variance of a target that the predictions explain; 0 without variance.

    The sums are of standardized values, so that float32 is exact enough for any unit.

    Args:
        target: the column, and the scale of its values.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(name="r2")
        self._mean, self._deviation = target.mean, target.deviation
        self._sums = [self.add_variable((), initializer="zeros", name=name) for name in _SUMS]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # noqa: ARG002
        """Add a batch: values (batch,) and predictions (batch, 1)."""
        values, predicted = (
            (ops.reshape(ops.cast(each, "float32"), (-1,)) - self._mean) / self._deviation
            for each in (y_true, y_pred)
        )
        added = (
            ops.cast(ops.size(values), "float32"),
            ops.sum(values),
            ops.sum(ops.square(values)),
            ops.sum(ops.square(values - predicted)),
        )
        for total, value in zip(self._sums, added, strict=True):
            total.assign(total + value)

    def result(self) -> Any:
        """Return 1 - (sum of squared errors) / (sum of squared distances from the mean)."""
        images, values, squares, errors = self._sums
        around_mean = squares - ops.square(values) / ops.maximum(images, 1.0)
        has_variance = around_mean > 0
        return ops.where(has_variance, 1 - errors / ops.where(has_variance, around_mean, 1.0), 0.0)
