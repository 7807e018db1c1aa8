"""Writing a run's model, with its label map, to a new folder."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import keras

from records.errors import UsageError
from records.labels import format_labels
from records.layout import LABELS
from trainers.export.formats import FORMATS, check_converter
from trainers.export.new_folder import check_new, making
from trainers.weights import load_model

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from trainers.run_folder import Run


def export(run: Run, out: str | os.PathLike[str], form: str = "keras") -> Path:
    """Write the model of a run, for use without this program.

    Args:
        run: with weights.
        out: the folder to make.
        form: a name in `FORMATS`.

    Returns:
        The folder.

    Raises:
        TargetError: something is there, or it cannot be written.
        UsageError: Keras runs on another backend, or the format's converter is not installed.
        DamagedError: the weights are damaged.
    """
    path = check_new(out)
    check_converter(form)
    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            "models are exported by TensorFlow",
            got=f"Keras on {keras.backend.backend()}",
            hint="set KERAS_BACKEND=tensorflow; weights trained on another backend are the same",
        )
    model = load_model(run)
    with making(path) as folder:
        importlib.import_module(FORMATS[form].module).write(model, run, folder)
        (folder / LABELS).write_bytes(format_labels(run.labels))
    return path
