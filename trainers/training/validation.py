"""Validation after each epoch, and the error about a diverged loss."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import keras

from records.errors import UsageError
from trainers.input.selection import count_steps
from trainers.training.metric_state import to_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

    from trainers.input.selection import Selection
    from trainers.training.phase_setup import PhaseSetup


class Validation:
    """Evaluates the model of a phase; builds the input once per phase.

    Args:
        batch_size: the number of images per step.
        batch_divisor: the number that must divide the size of every batch.
    """

    def __init__(self, batch_size: int, batch_divisor: int) -> None:
        self._batch_size, self._divisor = batch_size, batch_divisor
        self._setup: PhaseSetup | None = None
        self._batches: tf.data.Dataset | None = None

    def measure(
        self, setup: PhaseSetup, selection: Selection, begin_step: Callable[[], None]
    ) -> dict[str, float]:
        """Return all metrics of the model on a selection; call `begin_step` before each step."""
        if setup is not self._setup:
            self._batches = setup.read_validation(selection, self._batch_size, self._divisor)
            self._setup = setup
        images = selection.records // self._divisor * self._divisor
        metric = setup.compiled_metrics.validation
        calls = keras.callbacks.LambdaCallback(on_test_batch_begin=lambda _, **__: begin_step())
        with nullcontext() if metric is None else metric.counting():
            metrics = setup.model.evaluate(
                self._batches,
                steps=count_steps(images, self._batch_size),
                callbacks=[calls],
                verbose=0,
                return_dict=True,
            )
        hidden = setup.compiled_metrics.hidden
        return to_numbers(item for item in metrics.items() if item[0] not in hidden)


def diverged(loss: float, epoch: int, learning_rate: float) -> UsageError:
    """Return the error about a loss that is NaN or infinite, in an epoch with this rate."""
    return UsageError(
        f"training diverged: the loss became {loss} in epoch {epoch}",
        hint=f"try a --learning-rate below {learning_rate:g}",
    )
