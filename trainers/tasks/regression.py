"""The task `regression`: one number per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.tasks.base import Loss

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from records.dataset import Record
    from trainers.config import Target
    from trainers.options import TaskName


class Regression:
    """A linear output; see `Task`. Labels are the values of the target column, float32 (batch,).

    The network itself scales its output with mean and deviation of the target, so its logits
    (batch, 1) have the unit of the column.

    Args:
        target: the column, and the scale of its values.
    """

    name: TaskName = "regression"
    curves = ("r2", "loss")
    is_exclusive = False
    has_classes = False
    has_thresholds = False
    balances_in_loss = False

    def __init__(self, target: Target) -> None:
        self._target = target

    def caption(self, record: Record) -> str:
        """See `Task.caption`."""
        value = record.columns[self._target.name]
        return f"{self._target.name} {value:.6g}"

    def describe_classes(self, labels: Sequence[str]) -> None:
        """See `Task.describe_classes`."""

    def loss(
        self,
        label_smoothing: float,  # noqa: ARG002
        weights: NDArray[np.float64] | None = None,  # noqa: ARG002
        *,
        soft: bool = False,  # noqa: ARG002
    ) -> Loss:
        """Return the squared errors (batch,), in units of the variance of the training images.

        So a model that always predicts the mean has a loss of about 1, whatever the unit of the
        column, and the learning rates of classification fit.
        """
        from keras import ops

        def squared_error(labels: Any, logits: Any) -> Any:
            errors = ops.reshape(labels, (-1,)) - ops.reshape(logits, (-1,))
            return ops.square(errors / self._target.deviation)

        return squared_error

    def loss_of_guessing(self, outputs: int) -> float:  # noqa: ARG002
        """See `Task.loss_of_guessing`: that of the mean of the target."""
        return 1.0

    def metrics(self, *, soft: bool = False) -> tuple[keras.metrics.Metric, ...]:  # noqa: ARG002
        """See `Task.metrics`; the mean absolute error has the unit of the column."""
        import keras
        from keras import ops

        from trainers.tasks.r2 import R2

        def absolute_error(labels: Any, logits: Any) -> Any:
            return ops.abs(ops.reshape(labels, (-1,)) - ops.reshape(logits, (-1,)))

        return (
            R2(self._target),
            keras.metrics.MeanMetricWrapper(absolute_error, name="mean_absolute_error"),
        )

    def no_labels(self, outputs: int) -> NDArray[Any]:  # noqa: ARG002
        """See `Task.no_labels`."""
        return np.zeros(1, np.float32)

    def validation_metric(self, classes: int) -> None:
        """See `Task.validation_metric`."""

    def outputs(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """See `Task.outputs`: the predicted values, (images, 1)."""
        return logits.astype(np.float64)

    def average(self, logits: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """See `Task.average`."""
        return np.asarray(np.mean(logits, axis=0))

    def output_layer(self) -> keras.layers.Layer:
        """See `Task.output_layer`."""
        import keras

        return keras.layers.Activation("linear", dtype="float32", name="value")

    def choose(self, scores: NDArray[np.float64], thresholds: Sequence[float]) -> list[int]:  # noqa: ARG002
        """See `Task.choose`: a number has no classes."""
        return []
