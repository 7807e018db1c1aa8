"""Search for the weights file of a backbone, before Keras is loaded."""

from __future__ import annotations

from pathlib import Path

import h5py

from records.errors import InputNotFoundError, UsageError
from records.storage import is_url, redact_url
from records.text.escaping import escape_for_display
from trainers.models.registry import is_preset
from trainers.runs.run_dir import WEIGHTS, open_run

IMAGENET = "imagenet"
PRESET = "preset"
_EXPECTED = "imagenet, a .weights.h5 or .h5 file of Keras, or a run folder"
_WRITE_WEIGHTS = (
    "if you trust the model, load it with Keras and call model.save_weights('NAME.weights.h5')"
)


def pretrained_weights(model: str) -> str:
    """Return the name of the pretrained weights of a model: `imagenet` or `preset`."""
    return PRESET if is_preset(model) else IMAGENET


def require_weights(weights: str | None, model: str) -> None:
    """Check that a model has weights: `imagenet`, `preset`, those of a file or a run, or random.

    Raises:
        InputNotFoundError, UsageError: as `find_weights`; or a preset has other weights.
    """
    if weights is None:
        return
    if is_preset(model) and weights != PRESET:
        raise UsageError(
            "a model of KerasHub has the weights of its preset",
            got=f"--weights {escape_for_display(weights)}",
            hint="omit --weights, or use --weights none for random weights",
        )
    if weights != pretrained_weights(model):
        find_weights(weights, model)


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
