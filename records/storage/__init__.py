"""Storage: folders on local disks and object stores."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from records.errors import UsageError
from records.storage.base import (
    COPY_STEP_BYTES,
    FileInfo,
    FolderLock,
    RangeReader,
    RemoteStorage,
    StagedFile,
    Storage,
    hash_stream,
    require_identical,
    write_file,
)
from records.storage.urls import (
    absolute_location,
    is_in_memory,
    is_url,
    local_path,
    scheme_of,
    split_location,
)
from records.text.urls import redact_url

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "COPY_STEP_BYTES",
    "ENTRY_POINT_GROUP",
    "FileInfo",
    "FolderLock",
    "RangeReader",
    "RemoteStorage",
    "StagedFile",
    "Storage",
    "absolute_location",
    "hash_stream",
    "is_in_memory",
    "is_url",
    "local_path",
    "open_named_file",
    "open_remote",
    "open_storage",
    "read_named_file",
    "redact_url",
    "require_identical",
    "scheme_of",
    "split_location",
    "write_file",
]

ENTRY_POINT_GROUP = "shardmill.storage"
"""The entry point group of plug-ins.

The name of an entry point is a scheme. Its value is `module:factory`; the factory receives the URL.
"""


def open_storage(location: str | os.PathLike[str]) -> Storage:
    """Open a folder for reading and writing, without reading or creating files.

    Args:
        location: a local path or a URL. The scheme is `file://`, `s3://`, `gs://`, `az://`, the
            scheme of a plug-in (see `ENTRY_POINT_GROUP`), or any scheme that fsspec opens.

    Raises:
        UsageError: the URL cannot be opened, or needs a package that is not installed.
    """
    from records.storage.local import LocalStorage

    text = os.fspath(location)
    path = local_path(text)
    return open_remote(text) if path is None else LocalStorage(path)


def open_named_file(location: str | os.PathLike[str]) -> tuple[Storage, str]:
    """Return the folder and the name of a file that the user names, without reading it.

    Unlike a file that a dataset names, this file may be a link that leads out of its folder. Raises
    as `open_storage`.
    """
    from records.storage.local import LocalStorage

    folder, name = split_location(os.fspath(location))
    path = local_path(folder)
    return open_storage(folder) if path is None else LocalStorage(path, follow_links=True), name


def read_named_file(location: str | os.PathLike[str], *, most_bytes: int | None = None) -> bytes:
    """Return the content of a file that the user names: also of a pipe or of standard input.

    Args:
        location: the path or URL of the file.
        most_bytes: the number of bytes after which at most one more is read: the caller refuses a
            longer file. By default, the whole file is read.

    Raises:
        FileNotFoundError: the file does not exist.
        CorruptDataError: it is neither a regular file nor a pipe, such as a folder.
        StorageError: storage failed after retries.
        UsageError: the URL cannot be opened.
    """
    from records.storage.errors import translate_read_errors
    from records.storage.untrusted_file import read_named

    path = local_path(os.fspath(location))
    if path is None:
        storage, name = open_named_file(location)
        if most_bytes is None:
            return storage.read(name)
        return storage.read_range(name, 0, most_bytes + 1)
    with translate_read_errors(path):
        return read_named(path, most_bytes=most_bytes)


def open_remote(url: str) -> RemoteStorage:
    """Open the folder at a URL other than `file://`. Raises as `open_storage`."""
    scheme = scheme_of(url)
    from records.storage.objects import SCHEMES, open_object_storage

    if scheme in SCHEMES:
        return open_object_storage(url)
    plugin = find_plugin(scheme)
    if plugin is not None:
        return _open_with_plugin(plugin, url)
    from records.storage.fsspec import FsspecStorage

    return FsspecStorage(url)


@cache
def find_plugin(scheme: str) -> EntryPoint | None:
    """Return the plug-in for a scheme, or None; if there are several, the first by module name."""
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINT_GROUP, name=scheme)
    return min(found, key=lambda plugin: plugin.value, default=None)


def _open_with_plugin(plugin: EntryPoint, url: str) -> RemoteStorage:
    storage = None
    try:
        storage = plugin.load()(url)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the plug-in for {plugin.name}:// cannot be loaded",
            path=plugin.value,
            got=str(error),
            hint="reinstall the package that provides the plug-in",
        ) from error
    if not isinstance(storage, RemoteStorage):
        raise UsageError(
            f"the plug-in for {plugin.name}:// returned an object of the wrong type",
            path=plugin.value,
            expected="a records.storage.RemoteStorage",
            got=type(storage).__name__,
        )
    return storage
