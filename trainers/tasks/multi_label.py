"""The task `multi-label`: any number of labels per image, also none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.tasks.base import ClassCounts, Loss, balance_classes
from trainers.tasks.thresholds import sigmoid

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from records.dataset import Record
    from trainers.options import TaskName
    from trainers.tasks.validation_metric import ValidationMetric


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

    def loss(self, label_smoothing: float, counts: ClassCounts | None = None) -> Loss:
        """Return the binary cross-entropy of labels and logits, averaged over the classes.

        Args:
            label_smoothing: the share by which labels approach 0.5, as in
                `keras.losses.BinaryCrossentropy`.
            counts: if given, the images with and the images without a label have the same total
                weight for each class.
        """
        import keras
        from keras import ops

        crossentropy = keras.losses.BinaryCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        )
        if counts is None:
            plain: Loss = crossentropy
            return plain
        absent, present = balance_labels(counts).astype(np.float32)

        def balanced_crossentropy(labels: Any, logits: Any) -> Any:
            losses = keras.losses.binary_crossentropy(
                labels[..., None], logits[..., None], from_logits=True,
                label_smoothing=label_smoothing,
            )  # fmt: skip
            return ops.mean(losses * ops.where(labels > 0.5, present, absent), axis=-1)

        return balanced_crossentropy

    def metrics(self) -> tuple[keras.metrics.Metric, ...]:
        """See `Task.metrics`; the accuracy counts each class of each image, at the score 0.5."""
        import keras
        from keras import ops

        def is_right(labels: Any, logits: Any) -> Any:
            return ops.mean(ops.cast(ops.equal(labels > 0.5, logits > 0), "float32"), axis=-1)

        return (keras.metrics.MeanMetricWrapper(is_right, name="binary_accuracy"),)

    def no_labels(self, outputs: int) -> NDArray[Any]:
        """See `Task.no_labels`."""
        return np.zeros((1, outputs), np.float32)

    def validation_metric(self, classes: int) -> ValidationMetric:
        """See `Task.validation_metric`."""
        from trainers.tasks.validation_metric import ValidationMetric

        return ValidationMetric(classes)

    def outputs(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """See `Task.outputs`."""
        return sigmoid(logits)

    def output_layer(self) -> keras.layers.Layer:
        """See `Task.output_layer`."""
        import keras

        return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")

    def choose(self, scores: NDArray[np.float64], thresholds: Sequence[float]) -> list[int]:
        """See `Task.choose`."""
        order = np.argsort(-scores, kind="stable")
        return [int(label) for label in order if scores[label] >= thresholds[label]]


def balance_labels(counts: ClassCounts) -> NDArray[np.float64]:
    """Return the weights of the images without and with each label, (2, classes)."""
    pairs = (balance_classes((counts.images - count, count)) for count in counts.of_class)
    return np.array([(pair[0], pair[1]) for pair in pairs]).T
