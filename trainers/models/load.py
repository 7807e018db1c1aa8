"""The weights of a run, loaded as data from who knows where."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

import h5py

from records.errors import CorruptDataError
from trainers.models.build import build_network
from trainers.models.weights_file import WeightsMismatchError, match_model, set_weights
from trainers.runs.run_dir import WEIGHTS, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import keras

_BYTES_PER_VARIABLE = 4096
"""For names, groups and what HDF5 leaves free between arrays."""


def load_model(run: Run) -> keras.Model:
    """The model of a run, with its weights.

    Raises:
        CorruptDataError: the weights are not this model's, or no weights.
    """
    model = build_network(run.config.architecture).model
    try:
        with open_weights(run.path / WEIGHTS) as file:
            set_weights(match_model(file, model))
    except WeightsMismatchError as error:
        raise CorruptDataError(
            "these are not the weights of this run's model",
            path=run.describe(WEIGHTS),
            expected=error.expected,
            got=error.got,
        ) from error
    return model


@contextmanager
def open_weights(path: Path) -> Iterator[h5py.File]:
    """A weights file that was checked, open for reading.

    Raises:
        CorruptDataError: it is no HDF5 file, is cut short, or leads out of itself.
    """
    try:
        check_weights(path)
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CorruptDataError(
            "these are not the weights of a model",
            path=str(path),
            got=str(error).partition("\n")[0],
        ) from error


def file_bytes(variables: Iterable[keras.Variable]) -> int:
    """The size that a weights file of some variables has, and a little more."""
    variables = list(variables)
    values_bytes: int = sum(4 * math.prod(variable.shape) for variable in variables)
    return values_bytes + _BYTES_PER_VARIABLE * len(variables)


def check_weights(path: Path) -> None:
    """Refuse a weights file that leads out of itself.

    Raises:
        OSError: it is no HDF5 file.
        ValueError: it has links, or data kept elsewhere.
    """

    # h5py loses its place where a visitor raises, so these return what they find.
    def find_link(name: str, link: object) -> str | None:
        return None if isinstance(link, h5py.HardLink) else name

    def find_data_elsewhere(name: str, item: object) -> str | None:
        elsewhere = isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)
        return name if elsewhere else None

    with h5py.File(path, "r") as file:
        found = file.visititems_links(find_link) or file.visititems(find_data_elsewhere)
    if found is not None:
        raise ValueError(f"{found} leads to another place")
