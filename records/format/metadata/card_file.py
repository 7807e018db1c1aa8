"""Writing of the dataset card into the folder of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.errors import CorruptDataError
from records.format.layout import CARD
from records.format.metadata.card import GRID, is_generated, make_card
from records.storage import Storage, write_file

if TYPE_CHECKING:
    from records.format.manifest import Manifest


def update_card(storage: Storage, manifest: Manifest) -> None:
    """Write the card of a published dataset, unless the user has written or changed it.

    The caller holds the lock.

    Raises:
        OutputError: the folder cannot be written to.
        LockedError: the card was changed at this moment.
        StorageError: storage failed after retries.
    """
    content = make_card(manifest, has_grid=storage.stat(GRID) is not None)
    try:
        present = storage.read(CARD)
    except FileNotFoundError:
        write_file(storage, CARD, content)
        return
    except CorruptDataError:  # a folder, or a link that leads out of the dataset
        return
    if present != content and is_generated(present):
        storage.compare_and_swap(CARD, present, content)
