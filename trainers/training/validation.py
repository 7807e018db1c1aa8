"""What a model reaches on the validation images, measured after each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from trainers.input.selection import count_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

    from trainers.input.selection import Selection
    from trainers.training.phase_setup import PhaseSetup


class Validation:
    """Measures a stage's model again and again, on an input that is made once.

    Args:
        batch_size: images a step.
        batch_divisor: what the number of images of every step must be a multiple of.
    """

    def __init__(self, batch_size: int, batch_divisor: int) -> None:
        self._batch_size, self._divisor = batch_size, batch_divisor
        self._stage: PhaseSetup | None = None
        self._batches: tf.data.Dataset | None = None

    def measure(
        self, stage: PhaseSetup, selection: Selection, begin_step: Callable[[], None]
    ) -> dict[str, float]:
        """Accuracy and loss on the records selected; `begin_step` is called before each step."""
        if stage is not self._stage:
            self._batches = stage.read_validation(selection, self._batch_size, self._divisor)
            self._stage = stage
        images = selection.records // self._divisor * self._divisor
        calls = keras.callbacks.LambdaCallback(on_test_batch_begin=lambda _, **__: begin_step())
        figures: dict[str, float] = stage.model.evaluate(
            self._batches,
            steps=count_steps(images, self._batch_size),
            callbacks=[calls],
            verbose=0,
            return_dict=True,
        )
        return figures
