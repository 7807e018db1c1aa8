"""Remote files as streams and range readers: each read is one request."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NamedTuple

from records.storage.base import split_parts

_BUFFER_BYTES = 8 << 20

ReadRange = Callable[[int, int], bytes]
"""A function that takes an offset and a size, and returns up to that many bytes from the offset."""


class SizedRangeReader(NamedTuple):
    """A reader of parts of a remote file; see `records.storage.base.RangeReader`."""

    read_range: ReadRange

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See `RangeReader.read`."""
        return self.read_range(offset, size_bytes)

    def read_parts(self, offset: int, sizes_bytes: Sequence[int]) -> list[bytes]:
        """See `RangeReader.read_parts`; all parts come from one request."""
        return split_parts(self.read(offset, sum(sizes_bytes)), sizes_bytes)


def open_seekable(read_range: ReadRange, size_bytes: int) -> BinaryIO:
    """Return a stream of a file of known size; the stream reads 8 MiB per request."""
    return io.BufferedReader(_RangeStream(read_range, size_bytes), _BUFFER_BYTES)


class _RangeStream(io.RawIOBase):
    """A stream with its own position, so that streams of one file share no state."""

    def __init__(self, read_range: ReadRange, size_bytes: int) -> None:
        self._read_range = read_range
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readall(self) -> bytes:
        # The inherited method would request 8 kB at a time.
        data = bytearray(self._size_bytes - min(self._position, self._size_bytes))
        self.readinto(data)
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size_bytes - self._position)
        if wanted <= 0:
            return 0
        data = self._read_range(self._position, wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
