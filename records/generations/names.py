"""Names of generations: `data@3` is generation 3 of the dataset `data`."""

from __future__ import annotations

import os
import re

from records.errors import UsageError
from records.format.layout import MANIFEST
from records.storage import absolute_location, open_storage
from records.storage.urls import local_path, scheme_of
from records.text.escaping import escape_for_display

_GENERATION = re.compile(r"(.+)@([0-9]{1,9})/*", re.DOTALL)
_FOLDER = re.compile(r"(.+)/generations/([0-9]{4,9})/*", re.DOTALL)


def split_generation(location: str | os.PathLike[str]) -> tuple[str, int | None]:
    """Return the path or URL of a dataset, and the generation that `@N` at its end names, if any.

    A folder that really has such a name is not a generation.

    Raises:
        UsageError: the URL cannot be opened.
        StorageError: storage failed after retries.
    """
    text = os.fspath(location)
    match = _GENERATION.fullmatch(text)
    # In the authority of a URL, `@` follows the name of a user.
    if match is None or (scheme_of(text) and "/" not in match[1].partition("://")[2]):
        return text, None
    return (text, None) if _exists(text) else (match[1], int(match[2]))


def _exists(location: str) -> bool:
    path = local_path(location)
    if path is None:
        return open_storage(location).stat(MANIFEST) is not None
    return os.path.lexists(path)


def split_generation_folder(location: str) -> tuple[str, int | None]:
    """Return the dataset and the generation of a folder such as `data/generations/0003`.

    The path may be relative to a folder of the dataset. The generation is None for any other
    folder.
    """
    for text in (location, absolute_location(location)):
        if match := _FOLDER.fullmatch(text):
            return match[1], int(match[2])
    return location, None


def require_whole_dataset(location: str) -> None:
    """Check that an output is not a generation of a dataset.

    Raises:
        UsageError: the output is `data@3` or `data/generations/0003`, and `data` is a dataset.
    """
    folder, generation = split_generation(location)
    if generation is None:
        folder, generation = split_generation_folder(location)
    if generation is None or open_storage(folder).stat(MANIFEST) is None:
        return
    name = escape_for_display(folder)
    raise UsageError(
        f"generation {generation} of a dataset cannot be written to",
        path=escape_for_display(location),
        hint=f"to change the dataset, name it without a generation: {name}",
    )
