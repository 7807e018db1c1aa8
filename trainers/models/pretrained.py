"""Pretrained weights of a backbone, from ImageNet, a file or a run.

`weights_file` reads only the arrays in an HDF5 file; it never deserializes an architecture, a
function or an object. Other formats, such as SavedModel, which contains code, are refused.
"""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from http.client import HTTPException
from typing import TYPE_CHECKING

from records.errors import InputNotFoundError, UsageError
from trainers.models.hub.network import load_preset
from trainers.models.load import open_weights
from trainers.models.networks.keras_applications import build_backbone
from trainers.models.registry import find_model
from trainers.models.weights_file import (
    WeightsMismatchError,
    finalize_layer,
    match_backbone,
    set_weights,
)
from trainers.models.weights_path import IMAGENET, find_weights

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from trainers.models.build import Network

_FAILED_FETCH = re.compile(
    r"URL fetch failure on (?P<url>\S+/(?P<name>\S+)): (?:None -- )?(?P<reason>.*)", re.DOTALL
)

_DOWNLOAD_ERRORS = (OSError, HTTPException, ValueError)


def load_backbone(network: Network, model: str, weights: str) -> None:
    """Set all weights of the backbone of a network.

    Args:
        network: a network with a backbone.
        model: the name of the model in `MODELS`.
        weights: `imagenet`, `preset`, or the path of a weights file or a run folder.

    Raises:
        InputNotFoundError: the file does not exist, or the ImageNet weights cannot be downloaded.
        UsageError: the file has an unsupported format, or contains weights of a different model.
        CorruptDataError: the file cannot be read, or refers to other files.
    """
    if network.backbone is None:
        raise UsageError(f"the model {model} has no backbone to load weights into")
    preset = find_model(model).preset
    if preset is not None:
        load_preset(network.backbone, preset)
    elif weights == IMAGENET:
        _copy_imagenet(network.backbone, model)
    else:
        _load_file(network.backbone, model, find_weights(weights, model))


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
