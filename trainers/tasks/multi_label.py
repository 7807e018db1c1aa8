"""The task `multi-label`: any number of labels per image, also none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.tasks.base import Loss
from trainers.tasks.thresholds import sigmoid

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from records.dataset import Record
    from trainers.options import TaskName
    from trainers.tasks.validation_metric import ValidationMetric

_SMALLEST = 1e-15
"""A probability, of which float64 still distinguishes the complement from 1."""


class MultiLabel:
    """A sigmoid for each logit; see `Task`. Labels are multi-hot, float32 (batch, classes)."""

    name: TaskName = "multi-label"
    curves = ("mean_average_precision", "loss")
    is_exclusive = False
    has_classes = True
    has_thresholds = True
    balances_in_loss = True

    def caption(self, record: Record) -> str:
        """See `Task.caption`."""
        return record.class_name

    def describe_classes(self, labels: Sequence[str]) -> None:
        """See `Task.describe_classes`."""

    def loss(
        self,
        label_smoothing: float,
        weights: NDArray[np.float64] | None = None,
        *,
        soft: bool = False,  # noqa: ARG002
    ) -> Loss:
        """Return the binary cross-entropy of labels and logits, averaged over the classes.

        Args:
            label_smoothing: the share by which labels approach 0.5, as in
                `keras.losses.BinaryCrossentropy`.
            weights: the weights of the images without and with each label, (2, classes).
            soft: not used: labels are probabilities in any case.
        """
        import keras
        from keras import ops

        crossentropy = keras.losses.BinaryCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        )
        if weights is None:
            plain: Loss = crossentropy
            return plain
        absent, present = weights.astype(np.float32)

        def weighted_crossentropy(labels: Any, logits: Any) -> Any:
            without, with_label = (
                keras.losses.binary_crossentropy(
                    truth[..., None], logits[..., None], from_logits=True,
                    label_smoothing=label_smoothing,
                )
                for truth in (ops.zeros_like(logits), ops.ones_like(logits))
            )  # fmt: skip
            losses = labels * present * with_label + (1 - labels) * absent * without
            return ops.mean(losses, axis=-1)

        return weighted_crossentropy

    def loss_of_guessing(self, outputs: int) -> float:  # noqa: ARG002
        """See `Task.loss_of_guessing`: that of the score 0.5 for each class."""
        return math.log(2)

    def metrics(self, *, soft: bool = False) -> tuple[keras.metrics.Metric, ...]:  # noqa: ARG002
        """See `Task.metrics`; the accuracy counts each class of each image, at the score 0.5."""
        import keras
        from keras import ops

        def is_right(labels: Any, logits: Any) -> Any:
            return ops.mean(ops.where(logits > 0, labels, 1 - labels), axis=-1)

        return (keras.metrics.MeanMetricWrapper(is_right, name="binary_accuracy"),)

    def no_labels(self, outputs: int) -> NDArray[Any]:
        """See `Task.no_labels`."""
        return np.zeros((1, outputs), np.float32)

    def validation_metric(self, classes: int) -> ValidationMetric:
        """See `Task.validation_metric`."""
        from trainers.tasks.average_precision import MeanAveragePrecision

        return MeanAveragePrecision(classes)

    def outputs(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """See `Task.outputs`."""
        return sigmoid(logits)

    def average(self, logits: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """See `Task.average`."""
        mean = np.mean([sigmoid(each) for each in logits], axis=0)
        mean = np.clip(mean, _SMALLEST, 1 - _SMALLEST)
        return np.asarray(np.log(mean) - np.log1p(-mean))

    def output_layer(self) -> keras.layers.Layer:
        """See `Task.output_layer`."""
        import keras

        return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")

    def choose(self, scores: NDArray[np.float64], thresholds: Sequence[float]) -> list[int]:
        """See `Task.choose`."""
        order = np.argsort(-scores, kind="stable")
        return [int(label) for label in order if scores[label] >= thresholds[label]]
