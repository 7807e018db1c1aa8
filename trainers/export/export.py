"""Export of a model, labels and thresholds to a new folder.

The folder appears completely or not at all.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from records.arguments import check_arguments
from records.errors import OutputError, UsageError
from records.format.label_map import format_labels
from records.format.layout import LABELS
from records.storage import is_url
from records.storage.atomic import atomic_folder, occupants
from records.storage.errors import HINT_FIX, translate_write_errors
from records.storage.exclusive import require_outside
from trainers.backend import start_backend
from trainers.export.formats import FORMATS, require_converter
from trainers.runs.run_dir import THRESHOLDS, Run, open_run
from trainers.runs.thresholds import encode_thresholds, find_thresholds

if TYPE_CHECKING:
    from collections.abc import Iterator


@check_arguments
def export(
    run: str | os.PathLike[str] | Run,
    output: str | os.PathLike[str],
    format: str = "keras",  # noqa: A002 # the name of the command's option
) -> Path:
    """Write the model of a run, for use without shardmill.

    The output of the model has the probability of each class or, if the run predicts a number, the
    value in the unit of the target.

    Args:
        run: the path of a run, or a `Run`.
        output: the folder to create.
        format: the name of an export format: `keras`, `saved_model` or `onnx`. The default
            signature of a SavedModel takes image files; models in the other formats take pixels.

    Returns:
        The path of the folder.

    Raises:
        InputNotFoundError: the run does not exist.
        OutputError: the folder contains files, or cannot be written.
        UsageError: the output is a URL, or inside the run; the format is unknown; its converter is
            not installed, or cannot convert the model; or Keras uses a backend other than
            TensorFlow.
        CorruptDataError: the configuration or the weights are damaged.
    """
    path = require_empty_folder(output)
    location = run.path if isinstance(run, Run) else run
    require_outside(str(path), os.fspath(location), what="run")
    require_converter(format)
    opened = run if isinstance(run, Run) else open_run(run)
    start_backend()

    import keras

    from trainers.models.load import load_model

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            "models can be exported only with the TensorFlow backend of Keras",
            got=f"Keras on {keras.backend.backend()}",
            hint="set KERAS_BACKEND=tensorflow; the weights work with every backend",
        )
    model = load_model(opened)
    with new_folder(path) as folder:
        importlib.import_module(FORMATS[format].module).write(model, opened, folder)
        (folder / LABELS).write_bytes(format_labels(opened.labels))
        if opened.has_thresholds:
            (folder / THRESHOLDS).write_bytes(encode_thresholds(find_thresholds(opened)))
    return path


def require_empty_folder(location: str | os.PathLike[str]) -> Path:
    """Return the path of an output folder that is absent, or empty but for files of the system.

    Raises:
        OutputError: the location is a file, or a folder with files.
        UsageError: the location is a URL.
    """
    text = os.fspath(location)
    if is_url(text):
        raise UsageError("the output folder must be local", got=text)
    path = Path(text)
    with translate_write_errors(text, hint=HINT_FIX):
        is_taken = path.exists() and (not path.is_dir() or bool(occupants(path)))
    if is_taken:
        raise OutputError(
            "the output exists and is not overwritten",
            path=text,
            hint="choose a different folder, or remove this folder",
        )
    return path


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder, which is renamed to `path` when the block succeeds.

    Raises:
        OutputError: the folder cannot be written, or files were written to `path` in the meantime.
        StorageError: storage failed.
    """
    with (
        translate_write_errors(str(path), what="the model", hint=HINT_FIX),
        atomic_folder(path) as folder,
    ):
        yield folder
