"""The task `classification`: exactly one label per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.tasks.base import ClassCounts, Loss

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from records.dataset import Record
    from trainers.options import TaskName


class Classification:
    """Softmax over the logits; see `Task`. Labels are int64 (batch,)."""

    name: TaskName = "classification"
    curves = ("accuracy", "loss")
    is_exclusive = True
    has_classes = True
    has_thresholds = False
    balances_in_loss = False

    def caption(self, record: Record) -> str:
        """See `Task.caption`."""
        return record.class_name

    def describe_classes(self, labels: Sequence[str]) -> str | None:
        """See `Task.describe_classes`."""
        if len(labels) > 1:
            return None
        return "the dataset has one class: every prediction will be this class, and be right"

    def loss(self, label_smoothing: float, counts: ClassCounts | None = None) -> Loss:  # noqa: ARG002
        """Return the mean cross-entropy of integer labels (batch,) and logits (batch, classes).

        Args:
            label_smoothing: the fraction of the probability that is spread evenly over all
                classes (Szegedy et al., "Rethinking the Inception Architecture for Computer
                Vision", 2016).
            counts: not used, because Keras applies the class weights.
        """
        import keras
        from keras import ops

        if not label_smoothing:
            crossentropy: Loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            return crossentropy

        def smoothed_crossentropy(labels: Any, logits: Any) -> Any:
            truth = ops.one_hot(ops.reshape(labels, (-1,)), logits.shape[-1], dtype=logits.dtype)
            return keras.losses.categorical_crossentropy(
                truth, logits, from_logits=True, label_smoothing=label_smoothing
            )

        return smoothed_crossentropy

    def metrics(self) -> tuple[keras.metrics.Metric, ...]:
        """See `Task.metrics`."""
        import keras

        return (keras.metrics.SparseCategoricalAccuracy(name="accuracy"),)

    def no_labels(self, outputs: int) -> NDArray[Any]:  # noqa: ARG002
        """See `Task.no_labels`."""
        return np.zeros(1, np.int64)

    def validation_metric(self, classes: int) -> None:
        """See `Task.validation_metric`."""

    def outputs(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """See `Task.outputs`; each row sums to 1."""
        return softmax(logits)

    def output_layer(self) -> keras.layers.Layer:
        """See `Task.output_layer`."""
        import keras

        return keras.layers.Softmax(dtype="float32", name="probabilities")

    def choose(self, scores: NDArray[np.float64], thresholds: Sequence[float]) -> list[int]:  # noqa: ARG002
        """See `Task.choose`: the class with the highest score."""
        return [int(scores.argmax())]


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return probabilities (images, classes); each row sums to 1."""
    return np.asarray(np.exp(log_softmax(logits)))


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return log-probabilities (images, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_of_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted - log_of_sum)
