"""Where files are stored: read, and written completely or not at all."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from records.errors import UsageError
from records.storage.base import (
    COPY_STEP_BYTES,
    FileInfo,
    FolderLock,
    RangeReader,
    RemoteStorage,
    StagedFile,
    Storage,
    absolute_location,
    hash_stream,
    is_url,
    require_identical,
    split_location,
    write_file,
)

__all__ = [
    "COPY_STEP_BYTES",
    "FileInfo",
    "FolderLock",
    "RangeReader",
    "RemoteStorage",
    "StagedFile",
    "Storage",
    "absolute_location",
    "hash_stream",
    "is_url",
    "open_remote",
    "open_storage",
    "require_identical",
    "split_location",
    "write_file",
]


def open_storage(location: str | os.PathLike[str]) -> Storage:
    """The folder at a local path, a `file://` or `s3://` URL, or another that fsspec can open.

    Raises:
        UsageError: it is a URL that cannot be opened, or needs a package that is not installed.
    """
    from records.storage.local import LocalStorage

    text = os.fspath(location)
    if not is_url(text):
        return LocalStorage(text)
    if text.startswith("file://"):
        return LocalStorage(unquote(urlsplit(text).path))
    return open_remote(text)


def open_remote(url: str) -> RemoteStorage:
    """The folder behind a URL. Raises as `open_storage`."""
    if not url.startswith("s3://"):
        from records.storage.fsspec import FsspecStorage

        return FsspecStorage(url)
    try:
        from records.storage.s3.storage import S3Storage
    except ImportError as error:
        raise UsageError(
            "s3:// needs a package that is not installed",
            got=str(error),
            hint='pip install "shardmill[s3]"',
        ) from error
    return S3Storage(url)
