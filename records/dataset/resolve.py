"""Resolution of a path to a dataset or a TFRecord file."""

from __future__ import annotations

import os
from typing import NamedTuple

from records.format.layout import MANIFEST
from records.generations import split_generation
from records.storage import Storage, open_named_file, open_storage, split_location


class ResolvedPath(NamedTuple):
    """A folder, and the name of one file in the folder; None instead of a name means a dataset.

    `generation` is the number of an earlier generation of the dataset; None for the present one.
    """

    storage: Storage
    file: str | None
    generation: int | None = None


def resolve_path(path: str | os.PathLike[str]) -> ResolvedPath:
    """Return the dataset or the file at a path or URL; `dataset.json` means the dataset.

    A missing path counts as a dataset: reading the manifest then raises the most helpful error.
    """
    location = os.fspath(path)
    folder, name = split_location(location)
    if name == MANIFEST:
        storage = open_storage(folder)
        if storage.stat(name) is not None:
            return ResolvedPath(storage, None)
    elif name:
        storage, name = open_named_file(location)
        if storage.stat(name) is not None:
            return ResolvedPath(storage, name)
    folder, generation = split_generation(location)
    return ResolvedPath(open_storage(folder), None, generation)
