"""One new file at a path or URL: there whole or not at all, and never over another."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from records.errors import OutputError
from records.storage import open_storage, split_location
from records.storage.local import LocalStorage
from records.storage.names import WORK_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.storage.base import StagedFile, Storage


def require_absent(location: str) -> None:
    """Refuse a name that is taken. Raises OutputError."""
    storage, name = _open(location)
    if isinstance(storage, LocalStorage):
        taken = os.path.lexists(storage.path / name)
    else:
        taken = storage.stat(name) is not None
    if taken:
        raise OutputError(
            "this is there already",
            path=storage.display_name(name),
            hint="name a file that is not there yet",
        )


@contextmanager
def create_exclusive(location: str) -> Iterator[StagedFile]:
    """Write a file that is not there yet; it appears whole when the block ends well.

    Raises:
        OutputError: the name is taken, or cannot be written.
        StorageError: storage failed after retries.
    """
    require_absent(location)
    storage, name = _open(location)
    try:
        with storage.create(name) as staged:
            yield staged
    finally:
        remove_empty_staging(storage)


def _open(location: str) -> tuple[Storage, str]:
    folder, name = split_location(location)
    if not name:
        raise OutputError("this is no name of a file", path=location)
    return open_storage(folder), name


def remove_empty_staging(storage: Storage) -> None:
    """Remove the folders where files were staged, if they are empty: no work is going on here."""
    if isinstance(storage, LocalStorage):
        for folder in (f"{WORK_FOLDER}/staging", WORK_FOLDER):
            with suppress(OSError):  # another writer's files are in it, or it was never made
                (storage.path / folder).rmdir()
