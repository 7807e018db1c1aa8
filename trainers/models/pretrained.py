"""Pretrained weights of a backbone, from ImageNet, a file or a run.

`weights_file` reads only the arrays in an HDF5 file; it never deserializes an architecture, a
function or an object. Other formats, such as SavedModel, which contains code, are refused.
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
from trainers.models.keras_applications import build_backbone
from trainers.models.load import open_weights
from trainers.models.registry import find_model
from trainers.models.weights_file import (
    WeightsMismatchError,
    finalize_layer,
    match_backbone,
    set_weights,
)
from trainers.runs.run_dir import WEIGHTS, open_run

if TYPE_CHECKING:
    import keras

    from trainers.models.build import Network

IMAGENET = "imagenet"
_EXPECTED = "imagenet, a .weights.h5 or .h5 file of Keras, or a run folder"
_WRITE_WEIGHTS = (
    "if you trust the model, load it with Keras and call model.save_weights('NAME.weights.h5')"
)
_FAILED_FETCH = re.compile(
    r"URL fetch failure on (?P<url>\S+/(?P<name>\S+)): (?:None -- )?(?P<reason>.*)", re.DOTALL
)

_DOWNLOAD_ERRORS = (OSError, HTTPException, ValueError)


def load_backbone(network: Network, model: str, weights: str) -> None:
    """Set all weights of the backbone of a network.

    Args:
        network: a network with a backbone.
        model: the name of the model in `MODELS`.
        weights: `imagenet`, or the path of a weights file or a run folder.

    Raises:
        InputNotFoundError: the file does not exist, or the ImageNet weights cannot be downloaded.
        UsageError: the file has an unsupported format, or contains weights of a different model.
        CorruptDataError: the file cannot be read, or refers to other files.
    """
    if network.backbone is None:
        raise UsageError(f"the model {model} has no backbone to load weights into")
    if weights == IMAGENET:
        _copy_imagenet(network.backbone, model)
    else:
        _load_file(network.backbone, model, _find_file(weights, model))


def _load_file(backbone: keras.Model, model: str, path: Path) -> None:
    try:
        with open_weights(path) as file:
            set_weights(match_backbone(file, backbone))
    except WeightsMismatchError as error:
        raise UsageError(
            f"not the weights of {model}",
            path=str(path),
            expected=error.expected,
            got=error.got,
        ) from error


def _find_file(weights: str, model: str) -> Path:
    path = Path(weights)
    if is_url(weights):
        raise UsageError("weights must be a local file", got=weights)
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
    trained = open_run(path).config.architecture.model
    if trained != model:
        raise UsageError(
            "the run has a different model", path=str(path), expected=model, got=trained
        )
    return path / WEIGHTS


def _copy_imagenet(backbone: keras.Model, model: str) -> None:
    # The default size, because not every Keras classifier accepts ImageNet weights at other sizes.
    shape = (*find_model(model).size_px, 3)
    try:
        # Keras prints download progress to stdout, which is reserved for results.
        with redirect_stdout(sys.stderr):
            donor = build_backbone(model, shape, weights=IMAGENET)
    except Exception as error:  # Keras raises Exception if a download fails
        if not (_FAILED_FETCH.search(str(error)) or isinstance(error, _DOWNLOAD_ERRORS)):
            raise
        raise _explain(error, model) from error
    for layer, given in zip(_with_weights(backbone), _with_weights(donor), strict=True):
        layer.set_weights(given.get_weights())
        finalize_layer(layer)


def _with_weights(backbone: keras.Model) -> list[keras.Layer]:
    return [layer for layer in backbone.layers if layer.weights]


def _explain(error: Exception, model: str) -> InputNotFoundError:
    fetch = _FAILED_FETCH.search(str(error))
    return InputNotFoundError(
        f"the ImageNet weights of {model} cannot be downloaded",
        path=fetch["url"] if fetch else None,
        got=" ".join((fetch["reason"] if fetch else str(error)).split()),
        hint=f"download {fetch['name'] if fetch else 'the file'} on another machine "
        "and pass --weights PATH",
    )
