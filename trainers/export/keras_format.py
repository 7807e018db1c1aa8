"""Export to `model.keras`, a file that needs only Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.tasks import task_of
from trainers.tasks.base import add_output_layer

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from trainers.runs.run_dir import Run


def write(model: keras.Model, run: Run, folder: Path) -> None:
    """Write a model that maps pixels, uint8 (batch, *shape), to outputs, float32.

    They are probabilities (batch, classes) or, if the run predicts a number, values (batch, 1).
    """
    add_output_layer(task_of(run.config), model).save(folder / "model.keras")
