"""The weights of a run, loaded as data from who knows where."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import h5py

from records.errors import DamagedError
from trainers.models.network import build_network
from trainers.run_folder import WEIGHTS, Run

if TYPE_CHECKING:
    from pathlib import Path

    import keras


def load_model(run: Run) -> keras.Model:
    """The model of a run, with its weights.

    Raises:
        DamagedError: the weights are not this model's, or no weights.
    """
    path = run.path / WEIGHTS
    model = build_network(run.config.architecture).model
    try:
        check_weights(path)
        with warnings.catch_warnings():
            # Keras warns of what it skips, then raises for layers that are left without weights.
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise DamagedError(
            "these are not the weights of this run's model",
            path=run.describe(WEIGHTS),
            got=str(error).partition("\n")[0],
        ) from error
    return model


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
