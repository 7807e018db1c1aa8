"""Streams of the decompressed bytes of GZIP and ZLIB TFRecord files."""

from __future__ import annotations

import io
import zlib
from typing import Any, BinaryIO, Literal

from records.errors import CorruptDataError
from records.format.tfrecord import HEADER_BYTES, is_frame_header

Compression = Literal["gzip", "zlib"]

_GZIP_MAGIC = b"\x1f\x8b"
_ZLIB_DEFLATE = b"\x78"
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_MAX_GROWTH = 1000
_GROWTH_ALLOWED_BYTES = 16 << 20
_FIRST_BLOCK_BYTES = 1 << 12
BLOCK_BYTES = 1 << 16
BUFFER_BYTES = 1 << 20


class TooLargeError(CorruptDataError):
    """Compressed data that expands more than 1000-fold."""


def open_tfrecord(stream: BinaryIO) -> BinaryIO:
    """Return `stream`, or a stream of its decompressed bytes if it is GZIP or ZLIB.

    Reading raises CorruptDataError at the first bytes that cannot be decompressed.
    """
    return (
        io.BufferedReader(InflateReader(stream), BUFFER_BYTES) if is_compressed(stream) else stream
    )


def is_compressed(stream: BinaryIO) -> bool:
    """Return whether a stream at its start is GZIP or ZLIB; it stays at its start."""
    head = stream.read(HEADER_BYTES)
    stream.seek(0)
    return compression_of(head) is not None


def compression_of(head: bytes) -> Compression | None:
    """Return the compression of a file from its first 12 bytes (RFC 1952, RFC 1950), or None.

    A file that begins with a length and its valid CRC is uncompressed, even if these bytes also
    look like a GZIP or ZLIB header.
    """
    if is_frame_header(head):
        return None
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    is_zlib = head[:1] == _ZLIB_DEFLATE and int.from_bytes(head[:2], "big") % 31 == 0
    return "zlib" if is_zlib else None


class InflateReader(io.RawIOBase):
    """The decompressed bytes of a ZLIB or GZIP stream of one or more members.

    Args:
        source: the compressed stream.
        begin: the offset of the first member.

    Attributes:
        member_at: the offset of the member that is being read.
        member_position: the number of decompressed bytes before this member.
    """

    def __init__(self, source: BinaryIO, begin: int = 0) -> None:
        self._source = source
        self._begin = begin
        self._restart()

    @property
    def consumed_bytes(self) -> int:
        """The number of compressed bytes of the data that was returned."""
        return self._source_bytes - len(self._pending)

    def _restart(self) -> None:
        self._source.seek(self._begin)
        self._pending = b""
        self._source_bytes = 0
        self._position = 0
        self._start_member(self._begin)

    def _start_member(self, offset: int) -> None:
        self.member_at, self.member_position = offset, self._position
        self._inflate = zlib.decompressobj(GZIP_OR_ZLIB)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset: forward by reading, backward by reading again from the start."""
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the size of the decompressed data is unknown")
        target = offset if whence == io.SEEK_SET else self._position + offset
        if target < self._position:
            self._restart()
        while self._position < target and self.read(min(target - self._position, BLOCK_BYTES)):
            pass
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read decompressed bytes into a buffer; return their number. Raises CorruptDataError."""
        while True:
            self._pending = self._pending or self._next_block()
            if not self._pending:
                return self._end()
            data = self._decompress(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _next_block(self) -> bytes:
        block = self._source.read(min(BLOCK_BYTES, max(_FIRST_BLOCK_BYTES, self._source_bytes)))
        self._source_bytes += len(block)
        return block

    def _decompress(self, limit: int) -> bytes:
        if self._inflate.eof:
            self._start_member(self._begin + self.consumed_bytes)
        try:
            data = self._inflate_some(limit)
        except zlib.error as error:
            raise CorruptDataError("the compressed data is damaged", got=str(error)) from error
        self._position += len(data)
        if self._position > max(_GROWTH_ALLOWED_BYTES, _MAX_GROWTH * self.consumed_bytes):
            raise TooLargeError(
                f"the compressed data expands more than {_MAX_GROWTH}-fold",
                hint="this is not a TFRecord file of images; it may be a zip bomb",
            )
        return data

    def _inflate_some(self, limit: int) -> bytes:
        data = self._inflate.decompress(self._pending, limit)
        self._pending = self._inflate.unconsumed_tail or self._inflate.unused_data
        return data

    def _end(self) -> int:
        if not self._inflate.eof:
            raise CorruptDataError("the compressed data is truncated")
        return 0
