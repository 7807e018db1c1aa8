"""What a command was pointed at: a dataset, or one TFRecord file of anybody's."""

from __future__ import annotations

import os
from typing import NamedTuple

from records.format.layout import MANIFEST
from records.storage import Storage, open_storage, split_location


class ResolvedPath(NamedTuple):
    """A folder, and the name of one file in it; None where the whole dataset is meant."""

    storage: Storage
    file: str | None


def resolve_path(path: str | os.PathLike[str]) -> ResolvedPath:
    """The dataset or the file at a path or URL; a dataset's `dataset.json` means the dataset.

    What is not there counts as a dataset: reading its manifest says best what is wrong.
    """
    location = os.fspath(path)
    folder, name = split_location(location)
    if name:
        storage = open_storage(folder)
        if storage.stat(name) is not None:
            return ResolvedPath(storage, None if name == MANIFEST else name)
    return ResolvedPath(open_storage(location), None)
