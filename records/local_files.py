"""Open files of a local folder: one that is being written, and one of which parts are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from records.storage_errors import StagedStream, reading

WRITE_STEP_BYTES = 1 << 20
"""Each write(2) lets go of the interpreter, and threads that read ahead then hold it for long."""


class WrittenBehind:
    """A staged file whose bytes are on their way to the disk soon after they are written.

    So fsync(2) waits for the last of them only, and no longer for a whole shard.
    """

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self._stream = stream
        self._staged = StagedStream(stream, path)
        self._sent_bytes = self._waiting_bytes = 0

    def write(self, data: bytes, /) -> None:
        """Append `data`. Raises TargetError or StorageError."""
        self._staged.write(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= WRITE_STEP_BYTES:
            self._staged.flush()
            self._send()

    def _send(self) -> None:
        if hasattr(os, "posix_fadvise"):
            # Linux begins to write what is said not to be needed; what is not written yet stays.
            place = self._stream.fileno(), self._sent_bytes, self._waiting_bytes
            with suppress(OSError):  # advice; fsync is what counts
                os.posix_fadvise(*place, os.POSIX_FADV_DONTNEED)
        self._sent_bytes += self._waiting_bytes
        self._waiting_bytes = 0


class OpenFile:
    """A descriptor that threads read by place: none of them moves it."""

    _descriptor = -1

    def __init__(self, path: Path, shown: str) -> None:
        self._shown = shown
        with reading(shown):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See `RangeReader.read`."""
        try:
            return os.pread(self._descriptor, size_bytes, offset)
        except OSError:
            with reading(self._shown):
                raise

    def read_parts(self, offset: int, sizes_bytes: Sequence[int]) -> list[bytes]:
        """See `RangeReader.read_parts`: a call each costs less than to copy what is read."""
        parts = []
        try:
            for size in sizes_bytes:
                parts.append(os.pread(self._descriptor, size, offset))
                offset += size
        except OSError:
            with reading(self._shown):
                raise
        return parts

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
