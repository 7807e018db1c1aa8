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
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_MAX_GROWTH = 1000
_GROWTH_ALLOWED_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 20


def open_tfrecord(stream: BinaryIO) -> BinaryIO:
    """Return `stream`, or a stream of its decompressed bytes if it is GZIP or ZLIB.

    Reading raises CorruptDataError at the first bytes that cannot be decompressed.
    """
    return (
        io.BufferedReader(_InflateReader(stream), _BUFFER_BYTES)
        if _is_compressed(stream)
        else stream
    )


def open_until_error(stream: BinaryIO) -> PartialStream:
    """Open a stream like `open_tfrecord`; damage ends the stream instead of raising an error."""
    if not _is_compressed(stream):
        return PartialStream(stream)
    inflated = _PartialInflateReader(stream)
    return PartialStream(io.BufferedReader(inflated, _BUFFER_BYTES), inflated)


def _is_compressed(stream: BinaryIO) -> bool:
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


class _InflateReader(io.RawIOBase):
    """The decompressed bytes of a ZLIB stream, or of a GZIP stream of one or more members."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._restart()

    def _restart(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._pending = b""
        self._source_bytes = 0
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset: forward by reading, backward by reading again from the start."""
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the size of the decompressed data is unknown")
        target = offset if whence == io.SEEK_SET else self._position + offset
        if target < self._position:
            self._source.seek(0)
            self._restart()
        while self._position < target and self.read(min(target - self._position, _BLOCK_BYTES)):
            pass
        return self._position

    def readinto(self, buffer: Any) -> int:
        while True:
            block = self._pending or self._next_block()
            if not block:
                return self._end()
            data = self._decompress(block, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _next_block(self) -> bytes:
        block = self._source.read(_BLOCK_BYTES)
        self._source_bytes += len(block)
        return block

    def _decompress(self, block: bytes, limit: int) -> bytes:
        if self._inflate.eof:  # the next member of a GZIP file
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            data = self._inflate.decompress(block, limit)
        except zlib.error as error:
            raise CorruptDataError("the compressed data is damaged", got=str(error)) from error
        self._pending = self._inflate.unconsumed_tail or self._inflate.unused_data
        self._position += len(data)
        consumed_bytes = self._source_bytes - len(self._pending)
        if self._position > max(_GROWTH_ALLOWED_BYTES, _MAX_GROWTH * consumed_bytes):
            raise CorruptDataError(
                f"the compressed data expands more than {_MAX_GROWTH}-fold",
                hint="this is not a TFRecord file of images; it may be a zip bomb",
            )
        return data

    def _end(self) -> int:
        if not self._inflate.eof:
            raise CorruptDataError("the compressed data is truncated")
        return 0


class _PartialInflateReader(_InflateReader):
    """Decompressed bytes up to the first damage."""

    damage: CorruptDataError | None = None

    def readinto(self, buffer: Any) -> int:
        try:
            return super().readinto(buffer)
        except CorruptDataError as error:
            self.damage = error
            return 0


class PartialStream:
    """A stream of bytes that ends at the first damage, with a description of the damage."""

    def __init__(self, stream: BinaryIO, inflated: _PartialInflateReader | None = None) -> None:
        self.stream = stream
        self._inflated = inflated

    @property
    def damage(self) -> CorruptDataError | None:
        """The damage that ended the stream; None before the end, or if the stream is intact."""
        return self._inflated.damage if self._inflated is not None else None
