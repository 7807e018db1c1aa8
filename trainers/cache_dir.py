"""Folder of the caches: features and decoded images."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import OutputError
from records.storage.errors import translate_write_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = "choose another folder with XDG_CACHE_HOME"


def cache_dir(kind: str) -> Path:
    """Return a folder for one kind of cache, in `$XDG_CACHE_HOME/shardmill` or `~/.cache`.

    Raises:
        OutputError: `XDG_CACHE_HOME` is not an absolute path, and the user has no home folder.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # invalid by the XDG specification
        base = Path(os.path.expanduser("~/.cache"))  # noqa: PTH111 # Path.home() may raise
    if not base.is_absolute():
        raise OutputError(
            "the cache has no folder: HOME is not set, and this user has no home folder",
            hint="set XDG_CACHE_HOME to a folder that can be written",
        )
    return base / "shardmill" / kind


@contextmanager
def writing_cache(folder: Path, what: str) -> Iterator[None]:
    """Create the folder of a cache, and name `XDG_CACHE_HOME` in errors of writing in the block.

    Raises:
        OutputError, StorageError: the folder cannot be created or written.
    """
    try:
        with translate_write_errors(str(folder), what=what):
            folder.mkdir(parents=True, exist_ok=True)
            yield
    except OutputError as error:
        error.hint = HINT
        raise
