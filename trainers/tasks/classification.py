"""The task `classification`: exactly one label per image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.tasks.base import Loss

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from records.dataset import Record
    from trainers.options import TaskName
    from trainers.tasks.validation_metric import ValidationMetric


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
        return (
            "the dataset has one class: every prediction will be this class, and be right; convert "
            "images of at least two classes"
        )

    def loss(
        self,
        label_smoothing: float,
        weights: NDArray[np.float64] | None = None,  # noqa: ARG002
        *,
        soft: bool = False,
    ) -> Loss:
        """Return the mean cross-entropy of integer labels (batch,) and logits (batch, classes).

        Args:
            label_smoothing: the fraction of the probability that is spread evenly over all
                classes (Szegedy et al., "Rethinking the Inception Architecture for Computer
                Vision", 2016).
            weights: not used, because Keras or `MixingModel` applies the class weights.
            soft: whether the labels are float32 (batch, classes). They may be weighted, so that
                they do not add up to 1.
        """
        import keras
        from keras import ops

        if soft:
            return _soft_crossentropy(label_smoothing)
        if not label_smoothing:
            crossentropy: Loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            return crossentropy

        def smoothed_crossentropy(labels: Any, logits: Any) -> Any:
            truth = ops.one_hot(ops.reshape(labels, (-1,)), logits.shape[-1], dtype=logits.dtype)
            return keras.losses.categorical_crossentropy(
                truth, logits, from_logits=True, label_smoothing=label_smoothing
            )

        return smoothed_crossentropy

    def loss_of_guessing(self, outputs: int) -> float:
        """See `Task.loss_of_guessing`."""
        return math.log(max(outputs, 2))

    def metrics(self, *, soft: bool = False) -> tuple[keras.metrics.Metric, ...]:
        """See `Task.metrics`; of soft labels, the probability of the predicted class counts."""
        import keras
        from keras import ops

        def share_of_prediction(labels: Any, logits: Any) -> Any:
            chosen = ops.one_hot(ops.argmax(logits, axis=-1), logits.shape[-1])
            return ops.sum(labels * chosen, axis=-1)

        if soft:
            return (keras.metrics.MeanMetricWrapper(share_of_prediction, name="accuracy"),)

        return (keras.metrics.SparseCategoricalAccuracy(name="accuracy"),)

    def no_labels(self, outputs: int) -> NDArray[Any]:  # noqa: ARG002
        """See `Task.no_labels`."""
        return np.zeros(1, np.int64)

    def validation_metric(self, classes: int) -> ValidationMetric:
        """See `Task.validation_metric`."""
        from trainers.tasks.confidence import Confidence

        return Confidence(classes)

    def outputs(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """See `Task.outputs`; each row sums to 1."""
        return softmax(logits)

    def average(self, logits: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """See `Task.average`."""
        mean = np.mean([softmax(each) for each in logits], axis=0)
        return np.asarray(np.log(np.maximum(mean, np.finfo(np.float32).tiny)))

    def output_layer(self) -> keras.layers.Layer:
        """See `Task.output_layer`."""
        import keras

        return keras.layers.Softmax(dtype="float32", name="probabilities")

    def choose(self, scores: NDArray[np.float64], thresholds: Sequence[float]) -> list[int]:  # noqa: ARG002
        """See `Task.choose`: the class with the highest score."""
        return [int(scores.argmax())]


def _soft_crossentropy(label_smoothing: float) -> Loss:
    """Return the cross-entropy of probabilities and logits, both (batch, classes)."""
    from keras import ops

    def crossentropy(labels: Any, logits: Any) -> Any:
        logs = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        # Not by the function of Keras: on TensorFlow, its gradient is wrong for weighted labels,
        # which do not add up to 1.
        spread = ops.mean(labels, axis=-1, keepdims=True) * label_smoothing
        return -ops.sum((labels * (1 - label_smoothing) + spread) * logs, axis=-1)

    return crossentropy


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return probabilities (images, classes); each row sums to 1."""
    return np.asarray(np.exp(log_softmax(logits)))


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return log-probabilities (images, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_of_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted - log_of_sum)
