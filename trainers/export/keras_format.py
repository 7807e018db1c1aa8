"""Export to `model.keras`, a file that needs only Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.tasks import find_task
from trainers.tasks.base import add_probabilities

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from trainers.runs.run_dir import Run


def write(model: keras.Model, run: Run, folder: Path) -> None:
    """Write a model that maps pixels, uint8 (batch, *shape), to probabilities (batch, classes)."""
    add_probabilities(find_task(run.config.task), model).save(folder / "model.keras")
