"""Search for image files in folders; images in memory as files."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from records.errors import InputNotFoundError, ResourceError, ShardmillError, UsageError
from records.images import IMAGE_EXTENSIONS, sniff
from records.images.large_file import check_large_file, require_max_size
from records.storage import (
    Storage,
    is_url,
    open_named_file,
    open_storage,
    redact_url,
    split_location,
)
from records.storage.local import LocalStorage
from records.storage.names import is_system_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAGIC_BYTES = 64


class ImageFile(NamedTuple):
    """A file that may be an image.

    Attributes:
        name: the path or URL of the file as given, without credentials.
        storage: the folder that contains the file.
        path: the path of the file in that folder.
    """

    name: str
    storage: Storage
    path: str

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            ImageRejectedError: the file is far larger than an image, and was not read.
            OSError, ShardmillError: the file cannot be read.
        """
        info = self.storage.stat(self.path)
        if info is None:
            return self.storage.read(self.path)
        require_max_size(info.size_bytes)
        check_large_file(partial(self.storage.read_range, self.path), info.size_bytes)
        return self.storage.read_range(self.path, 0, info.size_bytes)


def image_file(location: str | os.PathLike[str]) -> ImageFile:
    """Return the file at a path or URL, without reading it. Raises UsageError."""
    text = os.fspath(location)
    folder, name = split_location(text)
    if not name or is_url(folder) != is_url(text):
        raise UsageError("this path or URL does not name a file", got=repr(_display(text)))
    storage, name = open_named_file(text)
    return ImageFile(_display(text), storage, name)


def find_images(locations: Iterable[str | os.PathLike[str]]) -> list[ImageFile]:
    """Return the given files, and those files in the given folders that look like images.

    The files of a folder are sorted; hidden and system files and folders are skipped.

    Args:
        locations: the paths or URLs of files and folders.

    Raises:
        InputNotFoundError: a location does not exist, or a folder has no images.
        CorruptDataError: a location is neither a file nor a folder, such as a named pipe.
        UsageError: a URL cannot be opened.
    """
    return [file for location in locations for file in _find_at(os.fspath(location))]


def _find_at(location: str) -> list[ImageFile]:
    folder, name = split_location(location)
    # A URL without a folder, such as `s3://bucket`, is not the name of a file.
    if name and is_url(folder) == is_url(location):
        storage, name = open_named_file(location)
        if storage.stat(name) is not None:
            return [ImageFile(_display(location), storage, name)]
        if isinstance(storage, LocalStorage) and not os.path.isdir(storage.path / name):  # noqa: PTH112
            _refuse(storage, name)
    storage = open_storage(location)
    names = storage.list()
    if not names:
        raise InputNotFoundError(
            "found neither a file nor a folder with files", path=_display(location)
        )
    found = [_file_in(location, storage, name) for name in names if _may_be_image(storage, name)]
    if not found:
        raise InputNotFoundError("no images in this folder", path=_display(location))
    return found


def _refuse(storage: Storage, name: str) -> None:
    """Raise CorruptDataError if a name exists, such as a named pipe, and is not a regular file."""
    with suppress(FileNotFoundError):
        storage.open(name).close()


def _file_in(location: str, storage: Storage, name: str) -> ImageFile:
    return ImageFile(f"{_display(location).rstrip('/')}/{name}", storage, name)


def _display(location: str) -> str:
    return redact_url(location) if is_url(location) else location


def _may_be_image(storage: Storage, name: str) -> bool:
    if any(part.startswith(".") or is_system_name(part) for part in name.split("/")):
        return False
    if PurePosixPath(name).suffix.lower() in IMAGE_EXTENSIONS:
        return True
    try:
        return sniff(storage.read_range(name, 0, _MAGIC_BYTES)) is not None
    except ResourceError:
        raise
    except (OSError, ShardmillError):
        return False


def encode_image(image: object) -> bytes:
    """Return an image in memory as the bytes of an image file; see `Predictor.predict`."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image must be bytes or an array, not {type(image).__name__}")
    shape = image.shape[:-1] if image.ndim == 3 and image.shape[-1] == 1 else image.shape
    is_image = len(shape) == 2 or (len(shape) == 3 and shape[-1] in {3, 4})
    if image.dtype != np.uint8 or not is_image or 0 in shape:
        raise UsageError(
            "invalid pixels",
            expected="uint8 (height, width) or (height, width, 1, 3 or 4)",
            got=f"{image.dtype} {image.shape}",
        )
    content = io.BytesIO()
    Image.fromarray(image.reshape(shape)).save(content, "PNG", compress_level=1)
    return content.getvalue()
