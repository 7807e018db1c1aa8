"""`model.onnx`: for ONNX Runtime and what else reads it."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np

from trainers.export.probabilities import add_softmax

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from trainers.run_folder import Run


def write(model: keras.Model, run: Run, folder: Path) -> None:
    """Write the model from pixels, uint8 (batch, *shape), to probabilities (batch, classes)."""
    scored = add_softmax(model)
    # Keras takes the names and types of inputs from a call.
    scored(np.zeros((1, *run.config.shape.array_shape), np.uint8))
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        scored.export(folder / "model.onnx", format="onnx", verbose=False)
