"""The protocol of a task: loss, metrics, scores and predicted classes.

A task is an object that never changes. The methods that return Keras objects import Keras when they
are called, after the backend is started.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

    from records.dataset import Record
    from trainers.options import TaskName
    from trainers.tasks.validation_metric import ValidationMetric

Loss = Callable[[Any, Any], Any]
"""A function of labels and logits (batch, outputs) that returns a loss, scalar or (batch,)."""


class ClassCounts(NamedTuple):
    """The number of training images, and the number of those that have each label."""

    images: int
    of_class: tuple[int, ...]


class Findings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a validation shows besides its metrics.

    Attributes:
        thresholds: the lowest score at which each class is predicted; empty if the task has no
            thresholds.
        reject_below: the score of the best class below which an image is probably of no class; None
            if the task does not reject images.
        never_predicted: the labels of the classes that validation images have, but no image is
            predicted as.
    """

    thresholds: tuple[float, ...] = ()
    reject_below: float | None = None
    never_predicted: tuple[int, ...] = ()

    @property
    def has_thresholds(self) -> bool:
        """Return whether the findings have any threshold."""
        return bool(self.thresholds) or self.reject_below is not None


class Task(Protocol):
    """What a run does with the logits of a network, and with the labels of a dataset.

    Attributes:
        name: the name of the task in `config.json`, and in `dataset.json` if a dataset has it.
        curves: the metrics that `curves.png` shows, by the names of their columns in
            `history.csv`; the columns of validation metrics have the prefix `val_`.
        balances_in_loss: whether the loss weights classes; otherwise Keras does, by class weights.
        is_exclusive: whether the classes exclude each other, so that probabilities add up to 1.
        has_classes: whether the model predicts classes, and not a number.
        has_thresholds: whether each class has its own threshold, which a run keeps.
    """

    name: TaskName
    curves: tuple[str, str]
    is_exclusive: bool
    has_classes: bool
    has_thresholds: bool
    balances_in_loss: bool

    def caption(self, record: Record) -> str:
        """Return the classes of a record, or its value, for a picture."""

    def describe_classes(self, labels: Sequence[str]) -> str | None:
        """Return a line for the user if the label map makes the task trivial; otherwise None."""

    def loss(
        self,
        label_smoothing: float,
        weights: NDArray[np.float64] | None,
        *,
        soft: bool = False,
    ) -> Loss:
        """Return the loss of labels and logits.

        Args:
            label_smoothing: the share of the labels that is spread.
            weights: the weights of the images without and with each label, (2, classes), if the
                loss weights classes; None for equal weights.
            soft: whether the labels are the probabilities of mixed images, (batch, classes).
        """

    def loss_of_guessing(self, outputs: int) -> float:
        """Return the loss of a model whose output does not depend on the image."""

    def metrics(self, *, soft: bool = False) -> tuple[keras.metrics.Metric, ...]:
        """Return the metrics for training and validation; `soft` as for `loss`."""

    def no_labels(self, outputs: int) -> NDArray[Any]:
        """Return zeros with the dtype and the shape of the labels of one image, (1, …).

        Args:
            outputs: the number of logits per image.
        """

    def validation_metric(self, classes: int) -> ValidationMetric | None:
        """Return a metric that only validation updates; None if the task has none."""

    def outputs(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of each class, or the predicted value, (images, outputs)."""

    def average(self, logits: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """Return logits whose outputs are the means of the outputs of several arrays of logits."""

    def output_layer(self) -> keras.layers.Layer:
        """Return the layer from logits to the outputs, float32."""

    def choose(self, scores: NDArray[np.float64], thresholds: Sequence[float]) -> list[int]:
        """Return the predicted labels of an image, the highest score first.

        Args:
            scores: the probability of each class, (classes,).
            thresholds: the threshold of each class; empty if the task has none.
        """


def add_output_layer(task: Task, model: keras.Model) -> keras.Model:
    """Return a model with the outputs of a task (batch, outputs), float32, instead of logits."""
    import keras

    return keras.Model(model.input, task.output_layer()(model.output), name=model.name)


def balance_classes(counts: Sequence[int]) -> dict[int, float]:
    """Return class weights that give all classes the same total weight.

    The sum of the weights over all images is the number of images.

    Args:
        counts: the number of training images of each class.

    Returns:
        The weight of each label, for `keras.Model.fit`: images / (classes x images of the class),
        where `classes` counts only classes with images; 0 for a class without images.
    """
    images = sum(counts)
    classes = sum(count > 0 for count in counts)
    return {
        label: images / (classes * count) if count else 0.0 for label, count in enumerate(counts)
    }
