"""TensorBoard's logs of a training, in `RUN/tensorboard`: a scalar of each figure an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from trainers.run_folder import TENSORBOARD

if TYPE_CHECKING:
    from pathlib import Path

    from trainers.history import EpochResult


class Logs:
    """Writes figures as they come; a resumed training goes on in a file of its own.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(run / TENSORBOARD))

    def write_step(self, step: int, figures: dict[str, float]) -> None:
        """Accuracy and loss of the epoch so far."""
        self._write(step, {f"epoch so far/{name}": value for name, value in figures.items()})

    def write_epoch(self, step: int, result: EpochResult) -> None:
        """What an epoch has reached, by the number of steps done."""
        figures = result._asdict()
        self._write(step, {f"epoch/{name}": value for name, value in figures.items()})

    def _write(self, step: int, figures: dict[str, float]) -> None:
        with self._writer.as_default():
            for name, value in figures.items():
                tf.summary.scalar(name, value, step=step)
        self._writer.flush()
