"""Export of a model, labels and thresholds to a new folder.

A local folder appears completely or not at all. At a URL, the file of the model appears last.
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
from records.storage import local_path, open_remote, redact_url
from records.storage.atomic import atomic_folder, occupants
from records.storage.errors import HINT_FIX, translate_write_errors
from records.storage.exclusive import require_outside
from records.storage.remote_folder import is_vacant, upload_folder
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
) -> Path | str:
    """Write the model of a run, for use without shardmill.

    The output of the model has the probability of each class or, if the run predicts a number, the
    value in the unit of the target.

    Args:
        run: the path or URL of a run, or a `Run`.
        output: the path or URL of the folder to create.
        format: the name of an export format: `keras`, `saved_model` or `onnx`. The default
            signature of a SavedModel takes image files; models in the other formats take pixels.

    Returns:
        The path of the folder; the URL, if the output is a URL.

    Raises:
        InputNotFoundError: the run does not exist.
        OutputError: the folder contains files, or cannot be written.
        LockedError: another process writes to the URL.
        StorageError: storage failed after retries.
        UsageError: the output is inside the run; the format is unknown; its converter is not
            installed, or cannot convert the model; or Keras uses a backend other than TensorFlow.
        CorruptDataError: the configuration or the weights are damaged.
    """
    location = os.fspath(output)
    require_converter(format)
    require_empty_folder(location, last=FORMATS[format].model)
    require_outside(location, run.location if isinstance(run, Run) else os.fspath(run), what="run")
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
    with new_folder(location, last=FORMATS[format].model) as folder:
        importlib.import_module(FORMATS[format].module).write(model, opened, folder)
        (folder / LABELS).write_bytes(format_labels(opened.labels))
        if opened.has_thresholds:
            (folder / THRESHOLDS).write_bytes(encode_thresholds(find_thresholds(opened)))
    path = local_path(location)
    return location if path is None else Path(path)


def require_empty_folder(location: str, *, last: str) -> None:
    """Check that an output is absent, or empty but for files of the system or of a killed export.

    Args:
        location: the path or URL of the output.
        last: the file that an export writes last.

    Raises:
        OutputError: the location is a file, or a folder with files.
        UsageError: the URL cannot be opened.
        StorageError: storage failed after retries.
    """
    path = local_path(location)
    if path is None:
        is_empty = is_vacant(open_remote(location), last=last)
    else:
        with translate_write_errors(path, hint=HINT_FIX):
            folder = Path(path)
            is_empty = not folder.exists() or (folder.is_dir() and not occupants(folder))
    if not is_empty:
        raise OutputError(
            "the output exists and is not overwritten",
            path=redact_url(location),
            hint="choose a different folder, or remove this folder",
        )


@contextmanager
def new_folder(location: str, *, last: str) -> Iterator[Path]:
    """Yield a temporary folder, whose files become the output when the block succeeds.

    Args:
        location: the path of the output, to which the folder is renamed; or its URL.
        last: the file that is uploaded last.

    Raises:
        OutputError: the output cannot be written, or other files were written to it meanwhile.
        LockedError: another process writes to the URL.
        StorageError: storage failed.
    """
    path = local_path(location)
    with translate_write_errors(redact_url(location), what="the model", hint=HINT_FIX):
        if path is not None:
            with atomic_folder(Path(path)) as folder:
                yield folder
            return
        storage = open_remote(location)
        with storage.lock(), upload_folder(storage, last=last) as folder:
            yield folder
