"""The containers of SOURCE: a file, a pattern, or a folder."""

from __future__ import annotations

import fnmatch
import os
from typing import NamedTuple

from pipelines.sources.containers.entry import is_image_name
from pipelines.sources.containers.kinds import SUFFIXES, suffix_of
from pipelines.sources.reader import SourceFiles
from pipelines.sources.walk import ListedFile, Listing, hidden_reason
from records.errors import InputNotFoundError, UsageError
from records.format.layout import MANIFEST
from records.runtime.row_table import iter_rows
from records.storage import is_url, local_path, split_location
from records.text.escaping import escape_for_display

_METADATA = b"metadata.parquet"
_MANIFEST = MANIFEST.encode()
"""The files of a dataset are not a source."""
_MAGIC = frozenset("*?[")


class Located(NamedTuple):
    """What SOURCE means.

    Attributes:
        folder: the local path or URL of the folder.
        name: the name or the pattern of containers in the folder; None for the whole folder.
        is_pattern: whether `name` is a pattern.
    """

    folder: str
    name: str | None = None
    is_pattern: bool = False


def locate_source(source: str) -> Located:
    """Return the folder of a source, and the name or pattern of containers in it.

    Raises:
        UsageError: a pattern is not in the last part of the path.
    """
    path = local_path(source)
    if path is not None and os.path.isdir(path):  # noqa: PTH112 - may be any bytes
        return Located(source)
    if path is not None and os.path.exists(path):  # noqa: PTH110
        # The user names this file, so a link may lead anywhere.
        folder, name = os.path.split(os.path.realpath(path))
        return Located(folder, name)
    folder, name = split_location(source if path is None else path)
    if _MAGIC & set(folder):
        raise UsageError(
            "only the last part of a source can be a pattern",
            path=escape_for_display(source),
            expected="a pattern such as 'photos/*.tar'",
        )
    if _MAGIC & set(name):
        return Located(folder, name, is_pattern=True)
    if path is None and suffix_of(name) is not None:
        return Located(folder, name)
    return Located(source)


def find_named(located: Located, files: SourceFiles, *, follow_symlinks: bool) -> list[ListedFile]:
    """Return the containers that a source names, in the order of their keys.

    Raises:
        InputNotFoundError: no file is found.
        UsageError: a file is not a container, or a link leads out of the folder.
    """
    assert located.name is not None
    name = os.fsencode(located.name)
    found: list[ListedFile] = []
    if located.is_pattern:
        matches = _matching(located, files, follow_symlinks=follow_symlinks)
        found = sorted(matches, key=lambda file: file.key)
    elif (file := files.find(name, follow_symlinks=follow_symlinks)) is not None:
        found = [file]
    shown = escape_for_display(f"{located.folder}/{located.name}")
    if not found:
        raise InputNotFoundError(
            "no file matches the pattern" if located.is_pattern else "file not found", path=shown
        )
    if others := [file.key for file in found if suffix_of(file.key) is None]:
        raise UsageError(
            "the pattern matches a file that is not a container",
            path=escape_for_display(os.fsdecode(others[0])),
            expected=f"a file: {', '.join(SUFFIXES)}",
        )
    return found


def _matching(located: Located, files: SourceFiles, *, follow_symlinks: bool) -> list[ListedFile]:
    pattern = str(located.name)
    if is_url(located.folder):
        listed = files.walk(follow_symlinks=follow_symlinks).files
        return [
            file
            for file in listed
            if b"/" not in file.key and fnmatch.fnmatchcase(os.fsdecode(file.key), pattern)
        ]
    try:
        names = os.listdir(located.folder)  # noqa: PTH208 - names of any bytes
    except OSError as error:
        raise InputNotFoundError(
            "cannot list the folder", path=escape_for_display(located.folder), got=error.strerror
        ) from error
    matches = (os.fsencode(name) for name in names if fnmatch.fnmatchcase(name, pattern))
    found = (
        files.find(name, follow_symlinks=follow_symlinks)
        for name in matches
        if hidden_reason(name) is None
    )
    return [file for file in found if file is not None]


def find_in_folder(listing: Listing) -> list[ListedFile]:
    """Return the containers in a folder without images, in the order of their keys."""
    found = set()
    for (key,) in iter_rows(listing.files.to_table(), "key"):
        if is_image_name(key) or key == _MANIFEST:
            return []
        # A table of the labels of images without extensions is not a container.
        if suffix_of(key) is not None and key.rpartition(b"/")[2] != _METADATA:
            found.add(key)
    files = [file for file in listing.files if file.key in found] if found else []
    return sorted(files, key=lambda file: file.key)
