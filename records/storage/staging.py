"""Local files that are written before they are published."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from records.storage.errors import translate_write_errors

_BUFFER_BYTES = 8 << 20


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
