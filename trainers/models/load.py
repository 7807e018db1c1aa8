"""The model of a run, with weights read as untrusted data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import h5py
import numpy as np

from records.errors import CorruptDataError
from records.storage.untrusted_file import require_regular
from trainers.models.build import build_network
from trainers.models.hdf5 import walk_groups
from trainers.models.registry import find_model, require_model
from trainers.models.weights_file import WeightsMismatchError, match_model, set_weights
from trainers.runs.run_dir import CONFIG, Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import keras

    from trainers.models.build import Network


def load_model(run: Run) -> keras.Model:
    """Return the model of a run, with its weights. Raises as `load_network`."""
    return load_network(run).model


def load_network(run: Run) -> Network:
    """Return the network of a run, with its weights.

    Raises:
        CorruptDataError: the weights are damaged, or belong to a different model.
        UsageError: the model is not registered.
    """
    require_model(run)
    architecture = run.config.architecture
    _require_size(run)
    network = build_network(architecture)
    model = network.model
    with run.checked_file(run.weights_file) as path, open_weights(path) as file:
        if find_model(architecture.model).has_nested_layers:
            model.load_weights(path)
        else:
            _set_weights(run, file, model)
    _require_finite(run, model)
    return network


def _set_weights(run: Run, file: h5py.File, model: keras.Model) -> None:
    try:
        set_weights(match_model(file, model))
    except WeightsMismatchError as error:
        raise CorruptDataError(
            "the weights do not fit the model of this run",
            path=run.describe(run.weights_file),
            expected=error.expected,
            got=error.got,
        ) from error


def _require_finite(run: Run, model: keras.Model) -> None:
    """Check that no weight is NaN or infinite. Raises CorruptDataError."""
    if not all(np.isfinite(weight.numpy()).all() for weight in model.weights):
        raise CorruptDataError(
            "the weights contain NaN or infinite values",
            path=run.describe(run.weights_file),
            hint="if the loss became NaN, train a new run with a lower --learning-rate",
        )


def _require_size(run: Run) -> None:
    """Check that the input is not smaller than the model supports. Raises CorruptDataError."""
    architecture = run.config.architecture
    least_px = find_model(architecture.model).min_side_px
    height_px, width_px = architecture.shape.height_px, architecture.shape.width_px
    if min(height_px, width_px) < least_px:
        raise CorruptDataError(
            "the image size is too small for the model of this run",
            path=run.describe(CONFIG),
            expected=f"a height and a width of at least {least_px} px",
            got=f"{height_px}x{width_px}",
        )


@contextmanager
def open_weights(path: Path) -> Iterator[h5py.File]:
    """Open a weights file for reading, after checking it.

    Raises:
        CorruptDataError: the file is not HDF5, is truncated, or refers to other files.
    """
    try:
        check_weights(path)
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise CorruptDataError(
            "not a valid weights file",
            path=str(path),
            got=str(error).partition("\n")[0],
        ) from error


def check_weights(path: Path) -> None:
    """Refuse a weights file that refers to other files.

    Raises:
        OSError: the file is not a regular file, or not HDF5.
        ValueError: the file contains links or external data, or groups are nested too deeply.
    """
    require_regular(path)
    with h5py.File(path, "r") as file:
        for _ in walk_groups(file):
            pass
