"""Weights for a base: ImageNet's from Keras, or those in a file or a run, and nothing but weights.

A file is read as arrays by `saved_weights`: no architecture, no function and no object in it is
ever looked at. Kinds of files that hold more than arrays are refused.
"""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from records.errors import InputNotFoundError, UsageError
from records.storage import is_url
from trainers.models.keras_applications import build_base
from trainers.models.load import open_weights
from trainers.models.registry import find_model
from trainers.models.weights_file import (
    WeightsMismatchError,
    finalize_layer,
    match_base,
    set_weights,
)
from trainers.runs.run_dir import WEIGHTS, open_run

if TYPE_CHECKING:
    import keras

    from trainers.models.build import Network

IMAGENET = "imagenet"
_EXPECTED = "imagenet, a .weights.h5 or .h5 file of Keras, or the folder of a run"
_WRITE_WEIGHTS = (
    "if you trust it, load it with Keras and call model.save_weights('NAME.weights.h5')"
)
_FAILED_FETCH = re.compile(
    r"URL fetch failure on (?P<url>\S+/(?P<name>\S+)): (?:None -- )?(?P<reason>.*)", re.DOTALL
)

_DOWNLOAD_ERRORS = (OSError, HTTPException, ValueError)


def load_base(network: Network, model: str, weights: str) -> None:
    """Give a network's base its weights, all of them.

    Args:
        network: with a base.
        model: its name in `MODELS`.
        weights: `imagenet`, or the path of a file of weights or of a run's folder.

    Raises:
        InputNotFoundError: there is no such file, or it cannot be downloaded.
        UsageError: it is not of a kind that is read, or of another model.
        CorruptDataError: it cannot be read, or leads out of itself.
    """
    if network.base is None:
        raise UsageError(f"the model {model} has no base to load weights into")
    if weights == IMAGENET:
        _copy_imagenet(network.base, model)
    else:
        _load_file(network.base, model, _find_file(weights, model))


def _load_file(base: keras.Model, model: str, path: Path) -> None:
    try:
        with open_weights(path) as file:
            set_weights(match_base(file, base))
    except WeightsMismatchError as error:
        raise UsageError(
            f"these are not the weights of {model}",
            path=str(path),
            expected=error.expected,
            got=error.got,
        ) from error


def _find_file(weights: str, model: str) -> Path:
    path = Path(weights)
    if is_url(weights):
        raise UsageError("weights are read from a local file", got=weights)
    if path.is_dir():
        return _find_in_folder(path, model)
    if not path.is_file():
        raise InputNotFoundError(
            "there is no such file of weights", path=weights, expected=_EXPECTED
        )
    if not h5py.is_hdf5(path):
        raise UsageError(
            "this is no file of weights", path=weights, expected=_EXPECTED, hint=_hint(path)
        )
    return path


def _hint(path: Path) -> str | None:
    return _WRITE_WEIGHTS if path.suffix in {".keras", ".pb"} else None


def _find_in_folder(path: Path, model: str) -> Path:
    if (path / "saved_model.pb").is_file():
        raise UsageError(
            "this is a SavedModel, which is code as well",
            path=str(path),
            expected=_EXPECTED,
            hint=_WRITE_WEIGHTS,
        )
    trained = open_run(path).config.architecture.model
    if trained != model:
        raise UsageError(
            "this run is of another model", path=str(path), expected=model, got=trained
        )
    return path / WEIGHTS


def _copy_imagenet(base: keras.Model, model: str) -> None:
    # Through a base at its own size: not every one of Keras takes ImageNet's weights at others.
    shape = (*find_model(model).size_px, 3)
    try:
        # Keras prints that it downloads, but stdout is for what was asked for.
        with redirect_stdout(sys.stderr):
            donor = build_base(model, shape, weights=IMAGENET)
    except Exception as error:  # Keras raises that very class where a download fails
        if not (_FAILED_FETCH.search(str(error)) or isinstance(error, _DOWNLOAD_ERRORS)):
            raise
        raise _explain(error, model) from error
    for layer, given in zip(_with_weights(base), _with_weights(donor), strict=True):
        layer.set_weights(given.get_weights())
        finalize_layer(layer)


def _with_weights(base: keras.Model) -> list[keras.Layer]:
    return [layer for layer in base.layers if layer.weights]


def _explain(error: Exception, model: str) -> InputNotFoundError:
    fetch = _FAILED_FETCH.search(str(error))
    return InputNotFoundError(
        f"the ImageNet weights of {model} cannot be downloaded",
        path=fetch["url"] if fetch else None,
        got=" ".join((fetch["reason"] if fetch else str(error)).split()),
        hint=f"get {fetch['name'] if fetch else 'them'} elsewhere and use --weights PATH",
    )
