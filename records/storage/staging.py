"""Local files that are written before they are published."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from records.storage.errors import translate_write_errors

_BUFFER_BYTES = 8 << 20
_UNNAMED_BUFFER_BYTES = 64 << 10
"""Small: a run may have hundreds of these files, and each of them keeps its buffer."""


class StagedStream:
    """A staged file whose write errors name its path; other errors are not translated."""

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self._stream = stream
        self._path = path

    def write(self, data: bytes, /) -> None:
        """Append `data`. Raises OutputError or StorageError."""
        try:
            self._stream.write(data)
        except OSError:  # a `with` for each write costs more than the write
            with translate_write_errors(self._path):
                raise

    def flush(self) -> None:
        """Pass all buffered bytes to the operating system. Raises as `write`."""
        with translate_write_errors(self._path):
            self._stream.flush()


class StagedUpload(StagedStream):
    """A file in the local temporary folder, complete before its upload starts."""

    def __init__(self, stream: BinaryIO, path: str) -> None:
        super().__init__(stream, path)
        self.path = path

    def content(self) -> BinaryIO:
        """Return the file as a stream, positioned at the start. Raises as `write`."""
        self.flush()
        self._stream.seek(0)
        return self._stream


@contextmanager
def staged_upload() -> Iterator[StagedUpload]:
    """Yield a temporary file; it is removed when the block ends.

    Raises:
        OutputError, StorageError: the temporary folder cannot be written.
    """
    with tempfile.NamedTemporaryFile(prefix="shardmill-", buffering=_BUFFER_BYTES) as file:
        yield StagedUpload(cast("BinaryIO", file.file), file.name)


class UnnamedFile:
    """A local file without a name, of which an error or the end of the process leaves nothing.

    If it cannot be written, it is dropped. It is not durable: after a power failure, a file that
    was published may be damaged.

    Args:
        descriptor: an empty file, opened with O_TMPFILE.
    """

    def __init__(self, descriptor: int) -> None:
        self._stream = open(descriptor, "wb", buffering=_UNNAMED_BUFFER_BYTES)  # noqa: SIM115
        self._is_complete = False

    def write(self, data: bytes | memoryview, /) -> None:
        """Append `data`, unless the file is dropped."""
        try:
            if not self._stream.closed:
                self._stream.write(data)
        except OSError:
            self.close()

    def finish(self) -> None:
        """Declare the file complete; only then it can be published."""
        self._is_complete = True

    def publish(self, path: Path) -> bool:
        """Close the file; if it is complete, give it a name. Return whether it has one.

        The caller holds the lock of the folder. An existing file of this name is removed.

        Args:
            path: the name, on the same file system.
        """
        try:
            if self._stream.closed or not self._is_complete:
                return False
            self._stream.flush()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                # With the descriptor of a folder, Python calls linkat(2), which follows this link.
                own = f"/proc/self/fd/{self._stream.fileno()}"
                os.link(own, path.name, dst_dir_fd=folder, follow_symlinks=True)
            finally:
                os.close(folder)
        except OSError:  # a full disk, another file system, or no /proc
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        """Close the file; without a name, it is removed."""
        with suppress(OSError):  # of bytes that are not written yet
            self._stream.close()


def open_unnamed(folder: Path) -> UnnamedFile | None:
    """Return a file that can be published in a folder; None if the system has none.

    Args:
        folder: the absolute path of the folder, which need not exist.
    """
    if not hasattr(os, "O_TMPFILE"):  # not Linux
        return None
    try:
        existing = next(each for each in (folder, *folder.parents) if each.is_dir())
        return UnnamedFile(os.open(existing, os.O_TMPFILE | os.O_WRONLY, 0o666))
    except OSError:  # a file system without such files, or no permission
        return None
