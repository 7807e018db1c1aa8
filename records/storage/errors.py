"""What storage raises, as errors that say what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from records.errors import OutputError, ShardmillError, StorageError

_CANNOT_WRITE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "the operation is not permitted",
    errno.ENOTDIR: "a file is where a folder should be",
    errno.EEXIST: "a file is where a folder should be",
    errno.EISDIR: "a folder is where a file should be",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EFBIG: "the file is larger than allowed",
    errno.ELOOP: "symbolic links lead in a circle",
}


@contextmanager
def translate_read_errors(path: str) -> Iterator[None]:
    """Turn a failed read into StorageError; a file that is not there stays FileNotFoundError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except OSError as error:
        raise StorageError(
            "cannot be read", path=path, got=os.strerror(error.errno or errno.EIO)
        ) from error


@contextmanager
def translate_write_errors(path: str) -> Iterator[None]:
    """Turn a failed write into OutputError or StorageError."""
    try:
        yield
    except ShardmillError:
        raise
    except OSError as error:
        reason = _CANNOT_WRITE.get(error.errno or 0)
        if reason is None:
            raise StorageError("cannot be written", path=path, got=str(error)) from error
        raise OutputError(
            f"cannot be written: {reason}",
            path=path,
            hint="mend that and run the same command again: what is finished is kept",
        ) from error


def conditional_writes_unsupported(path: str) -> OutputError:
    """A store on which one of two runs cannot be kept out."""
    return OutputError(
        "this store takes no notice of conditional writes (If-None-Match, If-Match)",
        path=path,
        hint="write to a store that has them, or to a local folder and copy that",
    )


class StagedStream:
    """A staged file whose failed writes say where; errors of who writes it pass untouched."""

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self._stream = stream
        self._path = path

    def write(self, data: bytes, /) -> None:
        """Append `data`. Raises OutputError or StorageError."""
        try:
            self._stream.write(data)
        except OSError:
            with translate_write_errors(self._path):
                raise

    def flush(self) -> None:
        """Hand all of it to the system. Raises as `write`."""
        with translate_write_errors(self._path):
            self._stream.flush()
