"""Writing a run's model, with its label map, to a new folder.

A folder that is there whole or not at all.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from records.errors import OutputError, UsageError
from records.format.label_map import format_labels
from records.format.layout import LABELS
from records.storage import is_url
from records.storage.atomic import atomic_folder
from records.storage.errors import HINT_FIX, translate_write_errors
from trainers.export.formats import FORMATS, require_converter
from trainers.models.load import load_model

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from trainers.runs.run_dir import Run


def export(run: Run, out: str | os.PathLike[str], form: str = "keras") -> Path:
    """Write the model of a run, for use without this program.

    Args:
        run: with weights.
        out: the folder to make.
        form: a name in `FORMATS`.

    Returns:
        The folder.

    Raises:
        OutputError: something is there, or it cannot be written.
        UsageError: Keras runs on another backend, or the format's converter is not installed.
        CorruptDataError: the weights are damaged.
    """
    path = require_empty_folder(out)
    require_converter(form)
    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            "models are exported by TensorFlow",
            got=f"Keras on {keras.backend.backend()}",
            hint="set KERAS_BACKEND=tensorflow; weights trained on another backend are the same",
        )
    model = load_model(run)
    with new_folder(path) as folder:
        importlib.import_module(FORMATS[form].module).write(model, run, folder)
        (folder / LABELS).write_bytes(format_labels(run.labels))
    return path


def require_empty_folder(location: str | os.PathLike[str]) -> Path:
    """The path of a folder to be made, where nothing but an empty folder is.

    Raises:
        OutputError: something is there.
        UsageError: it is a URL.
    """
    text = os.fspath(location)
    if is_url(text):
        raise UsageError("a model is exported to a local folder", got=text)
    path = Path(text)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(
            "something is here, and it is not overwritten",
            path=text,
            hint="choose another folder, or remove that one",
        )
    return path


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write to; it becomes `path` when the block succeeds.

    Raises:
        OutputError: it cannot be written, or a folder with files exists at `path` by now.
        StorageError: writing failed.
    """
    with (
        translate_write_errors(str(path), what="the model", hint=HINT_FIX),
        atomic_folder(path) as folder,
    ):
        yield folder
