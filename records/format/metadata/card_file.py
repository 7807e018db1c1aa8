"""Writing of the dataset card into the folder of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.errors import CorruptDataError
from records.format.layout import CARD
from records.format.metadata.card import GRID, is_generated, make_card
from records.storage import Storage, write_file

if TYPE_CHECKING:
    from records.format.manifest import Manifest


def update_card(storage: Storage, manifest: Manifest, *, has_grid: bool | None = None) -> None:
    """Write the card of a published dataset, unless the user has written or changed it.

    The caller holds the lock. `has_grid` is whether the card has a picture; by default, it is read.

    Raises:
        OutputError: the folder cannot be written to.
        LockedError: the card was changed at this moment.
        StorageError: storage failed after retries.
    """
    if has_grid is None:
        has_grid = storage.stat(GRID) is not None
    content = make_card(manifest, has_grid=has_grid)
    try:
        present = storage.read(CARD)
    except FileNotFoundError:
        write_file(storage, CARD, content)
        return
    except CorruptDataError:  # a folder, or a link that leads out of the dataset
        return
    if present != content and is_generated(present):
        storage.compare_and_swap(CARD, present, content)
