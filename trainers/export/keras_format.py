"""Export to `model.keras`, a file that needs only Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.models.softmax import add_softmax

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from trainers.runs.run_dir import Run


def write(model: keras.Model, _run: Run, folder: Path) -> None:
    """Write a model that maps pixels, uint8 (batch, *shape), to probabilities (batch, classes)."""
    add_softmax(model).save(folder / "model.keras")
