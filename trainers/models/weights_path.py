"""Search for the weights file of a backbone, before Keras is loaded."""

from __future__ import annotations

from pathlib import Path

import h5py

from records.errors import InputNotFoundError, UsageError
from records.storage import is_url, redact_url
from trainers.runs.run_dir import WEIGHTS, open_run

IMAGENET = "imagenet"
_EXPECTED = "imagenet, a .weights.h5 or .h5 file of Keras, or a run folder"
_WRITE_WEIGHTS = (
    "if you trust the model, load it with Keras and call model.save_weights('NAME.weights.h5')"
)


def find_weights(weights: str, model: str) -> Path:
    """Return the weights file that a path names: a file of Keras, or a run folder.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: the location is a URL, the file has an unsupported format, or the run has a
            different model.
    """
    path = Path(weights)
    if is_url(weights):
        raise UsageError(
            "weights must be a local file or run",
            got=redact_url(weights),
            hint="copy the file or the run to a local folder",
        )
    if path.is_dir():
        return _find_in_folder(path, model)
    if not path.is_file():
        raise InputNotFoundError("weights file not found", path=weights, expected=_EXPECTED)
    if not h5py.is_hdf5(path):
        raise UsageError("not a weights file", path=weights, expected=_EXPECTED, hint=_hint(path))
    return path


def _hint(path: Path) -> str | None:
    return _WRITE_WEIGHTS if path.suffix in {".keras", ".pb"} else None


def _find_in_folder(path: Path, model: str) -> Path:
    if (path / "saved_model.pb").is_file():
        raise UsageError(
            "weights are not read from a SavedModel, because it contains code",
            path=str(path),
            expected=_EXPECTED,
            hint=_WRITE_WEIGHTS,
        )
    run = open_run(path)
    run.check(WEIGHTS)
    trained = run.config.architecture.model
    if trained != model:
        raise UsageError(
            "the run has a different model", path=str(path), expected=model, got=trained
        )
    return path / WEIGHTS
