"""Writer of one new file at a path or URL."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from records.errors import OutputError
from records.storage import open_storage
from records.storage.local import LocalStorage
from records.storage.urls import split_location

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.storage.base import StagedFile, Storage


def require_absent(location: str) -> None:
    """Check that no file exists at a location.

    Raises:
        OutputError: a file or folder exists at the location.
        StorageError: storage failed after retries.
    """
    storage, name = _open(location)
    if isinstance(storage, LocalStorage):
        exists = os.path.lexists(storage.path / name)
    else:
        exists = storage.stat(name) is not None
    if exists:
        raise OutputError(
            "the file already exists", path=storage.display_name(name), hint="choose another name"
        )


@contextmanager
def create_exclusive(location: str) -> Iterator[StagedFile]:
    """Write a new file, which becomes visible when the block succeeds.

    Raises:
        OutputError: a file exists at the location, or the new file cannot be written.
        StorageError: storage failed after retries.
    """
    require_absent(location)
    storage, name = _open(location)
    try:
        with storage.create(name) as staged:
            yield staged
    finally:
        if isinstance(storage, LocalStorage):
            storage.remove_empty_staging()


def _open(location: str) -> tuple[Storage, str]:
    folder, name = split_location(location)
    if not name:
        raise OutputError("the file name after the last slash is missing", path=location)
    return open_storage(folder), name
