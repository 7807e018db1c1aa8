"""Metrics of a number per image, from predicted and true values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.evaluation.metrics import describe_left_out
from trainers.evaluation.mistakes import ValueMistake
from trainers.evaluation.notebook import evaluation_html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainers.config import Target

_MOST_POINTS = 2000


class RegressionEvaluation(msgspec.Struct, frozen=True):
    """The result of an evaluation of the task `regression`, and the output of `evaluate --json`.

    Attributes:
        split: the split that the records serve as: `test`, `validation` or `train`.
        images: the number of images.
        target: the name of the column that the run predicts.
        mean_squared_error: the mean of the squared errors, in the squared unit of the target.
        root_mean_squared_error: its square root, in the unit of the target.
        mean_absolute_error: the mean of the absolute errors, in the unit of the target.
        r2: the coefficient of determination, at most 1: the share of the variance of the target
            that the predictions explain; None if all images have the same value.
        loss: the mean of the squared errors, in units of the variance of the training images, as in
            training.
        points: pairs of a true and a predicted value, those of the scatter plot: of all images, or
            of evenly spaced ones if there are more than 2,000.
        mistakes: the predictions that are furthest from the true value, the worst first.
        excluded_images: the number of images that were left out because the run trained on them.
        damaged_records: the number of damaged records that were skipped.
        task: the task of the run.
    """

    split: str
    images: int
    target: str
    mean_squared_error: float
    root_mean_squared_error: float
    mean_absolute_error: float
    r2: float | None
    loss: float
    points: tuple[tuple[float, float], ...]
    mistakes: tuple[ValueMistake, ...] = ()
    excluded_images: int = 0
    damaged_records: int = 0
    task: Literal["regression"] = "regression"

    def __str__(self) -> str:
        return "\n".join(self._totals())

    def __repr__(self) -> str:
        heading = f"RegressionEvaluation on {self.split}: {pluralize(self.images, 'image')}"
        return "\n".join((heading, *self._totals()))

    def _repr_html_(self) -> str:
        return evaluation_html(
            (
                ("split", f"{self.split}, {pluralize(self.images, 'image')}"),
                ("target", self.target),
                ("R²", format_r2(self.r2)),
                ("mean absolute error", f"{self.mean_absolute_error:.4g}"),
                ("root mean squared error", f"{self.root_mean_squared_error:.4g}"),
                ("loss", f"{self.loss:.3f}"),
            )
        )

    def _totals(self) -> Iterator[str]:
        yield (
            f"{self.split}: R² {format_r2(self.r2)}, mean absolute error "
            f"{self.mean_absolute_error:.4g}, root mean squared error "
            f"{self.root_mean_squared_error:.4g} of {escape_for_display(self.target)} "
            f"on {pluralize(self.images, 'image')}"
        )
        yield from describe_left_out(self.split, self.excluded_images, self.damaged_records)


def format_r2(r2: float | None) -> str:
    """Return R² with three decimals, or a dash."""
    return "–" if r2 is None else f"{r2:.3f}"


class ValueMetricsAccumulator:
    """Predicted and true values of all batches, 16 bytes for each image.

    Args:
        target: the column, and the scale of its values.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._predicted: list[NDArray[np.float64]] = []
        self._true: list[NDArray[np.float64]] = []

    def add(self, predicted: NDArray[np.floating], true: NDArray[np.floating]) -> None:
        """Add a batch: predicted and true values, (images,)."""
        self._predicted.append(predicted.astype(np.float64))
        self._true.append(true.astype(np.float64))

    def summarize(
        self, split: str, mistakes: tuple[ValueMistake, ...] = (), excluded_images: int = 0
    ) -> RegressionEvaluation:
        """Return the metrics of all added images; at least one image must have been added."""
        predicted, true = np.concatenate(self._predicted), np.concatenate(self._true)
        errors = predicted - true
        squared = float(np.square(errors).mean())
        variance = float(true.var())
        chosen = np.linspace(0, len(true) - 1, min(len(true), _MOST_POINTS)).astype(int)
        pairs = zip(true[chosen].tolist(), predicted[chosen].tolist(), strict=True)
        return RegressionEvaluation(
            split=split,
            images=len(true),
            target=self._target.name,
            mean_squared_error=squared,
            root_mean_squared_error=math.sqrt(squared),
            mean_absolute_error=float(np.abs(errors).mean()),
            r2=1 - squared / variance if true.min() < true.max() and variance else None,
            loss=squared / self._target.deviation**2,
            points=tuple(pairs),
            mistakes=mistakes,
            excluded_images=excluded_images,
        )
