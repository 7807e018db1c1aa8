"""The files to classify: named one by one, or found below folders, here or behind any URL."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from records.errors import InputNotFoundError, ShardmillError
from records.images import IMAGE_EXTENSIONS, sniff
from records.storage import Storage, is_url, open_storage, redact_url, split_location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAGIC_BYTES = 64


class ImageFile(NamedTuple):
    """A file that may hold an image.

    Args:
        name: its path or URL as it was given, without credentials.
        storage: the folder it is in.
        path: its path in that folder.
    """

    name: str
    storage: Storage
    path: str

    def read(self) -> bytes:
        """All of it. Raises OSError or ShardmillError."""
        return self.storage.read(self.path)


def find_images(locations: Iterable[str | os.PathLike[str]]) -> list[ImageFile]:
    """The files named, and below the folders named those that look like images, sorted.

    Hidden files and folders are passed over.

    Args:
        locations: paths, and URLs that fsspec reads.

    Raises:
        InputNotFoundError: a name is neither, or a folder has no images.
        UsageError: a URL cannot be opened.
    """
    return [file for location in locations for file in _find_at(os.fspath(location))]


def _find_at(location: str) -> list[ImageFile]:
    folder, name = split_location(location)
    # A URL without a folder, such as `s3://bucket`, names no file.
    if name and is_url(folder) == is_url(location):
        storage = open_storage(folder)
        if storage.stat(name) is not None:
            return [ImageFile(_shown(location), storage, name)]
    storage = open_storage(location)
    names = storage.list()
    if not names:
        raise InputNotFoundError(
            "there is no such file, and no folder with files in it", path=_shown(location)
        )
    found = [_file_below(location, storage, name) for name in _keep_images(storage, names)]
    if not found:
        raise InputNotFoundError("there is no image in this folder", path=_shown(location))
    return found


def _file_below(location: str, storage: Storage, name: str) -> ImageFile:
    return ImageFile(f"{_shown(location).rstrip('/')}/{name}", storage, name)


def _shown(location: str) -> str:
    return redact_url(location) if is_url(location) else location


def _keep_images(storage: Storage, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and _looks_like_image(storage, name):
            yield name


def _looks_like_image(storage: Storage, name: str) -> bool:
    if PurePosixPath(name).suffix.lower() in IMAGE_EXTENSIONS:
        return True
    try:
        # A pipe has no facts; it must not be waited for.
        return (
            storage.stat(name) is not None
            and sniff(storage.read_range(name, 0, _MAGIC_BYTES)) is not None
        )
    except (OSError, ShardmillError):
        return False
