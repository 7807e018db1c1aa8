"""Decompressed bytes of a container, read from the beginning to the end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import xxhash

from pipelines.sources.containers.byte_window import ContainerBytes, copied, damaged
from pipelines.sources.containers.entry import Entry, is_image_name, refuse
from pipelines.sources.reader import HEAD_BYTES
from records.storage.staging import UnnamedFile

STEP_BYTES = 256 << 10
_MAX_GROWTH = 1000
_GROWTH_ALLOWED_BYTES = 16 << 20
_XZ_MEMORY_BYTES = 256 << 20
_KEPT_BYTES = 128 << 10
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException)


class _Readable(Protocol):
    def read(self, size_bytes: int, /) -> bytes: ...


class _Raw(io.RawIOBase):
    """The compressed bytes as a file."""

    def __init__(self, data: ContainerBytes) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = (self._data.end or 0) - self._at
        content = self._data.read(self._at, min(len(buffer), left)) if left > 0 else b""
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


class _Xz:
    """A reader of .xz and .lzma with a limit on memory, which `lzma.LZMAFile` does not have."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._decompressor: lzma.LZMADecompressor | None = None
        self._pending = b""

    def read(self, size_bytes: int, /) -> bytes:
        while True:
            if self._decompressor is None or self._decompressor.eof:
                left = b"" if self._decompressor is None else self._decompressor.unused_data
                self._pending = left.lstrip(b"\0") or self._raw.read(STEP_BYTES) or b""
                if not self._pending.strip(b"\0"):
                    return b""
                self._decompressor = lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
            elif self._decompressor.needs_input:
                self._pending = self._raw.read(STEP_BYTES) or b""
                if not self._pending:
                    raise EOFError("the compressed data end early")
            content = self._decompressor.decompress(self._pending, size_bytes)
            self._pending = b""
            if content:
                return content


def _open_zstd(raw: io.RawIOBase) -> _Readable:
    stream: _Readable = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return stream


_OPENERS: dict[bytes, Callable[[io.RawIOBase], _Readable]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=io.BufferedReader(raw, STEP_BYTES)),
    b"BZh": lambda raw: bz2.BZ2File(io.BufferedReader(raw, STEP_BYTES)),
    b"\xfd7zXZ\0": _Xz,
    b"\x28\xb5\x2f\xfd": _open_zstd,
}
"""The readers of compressed data, by their first bytes."""


def decompress(data: ContainerBytes) -> Iterator[bytes]:
    """Yield the decompressed bytes of a container in pieces; those of an uncompressed one as such.

    Raises:
        CorruptDataError: the data are damaged, or expand more than 1000-fold.
    """
    head = data.read(0, 8)
    opener = next((it for magic, it in _OPENERS.items() if head.startswith(magic)), None)
    raw = _Raw(data)
    source: Any = raw if opener is None else None
    allowed_bytes = _GROWTH_ALLOWED_BYTES + _MAX_GROWTH * data.container.size_bytes
    total_bytes = 0
    try:
        source = source or (opener or _Xz)(raw)
        while piece := source.read(STEP_BYTES):
            total_bytes += len(piece)
            if total_bytes > allowed_bytes:
                raise damaged(data, f"it expands more than {_MAX_GROWTH}-fold")
            yield piece
    except _DAMAGE as error:
        raise damaged(data, f"its compressed data are invalid ({error})") from error


class StreamBytes:
    """The decompressed bytes of a container; see `ContainerBytes`. Offsets must increase.

    Bytes up to 128 KiB before the last offset can be read again.

    Args:
        data: the bytes of the container.
        pieces: the pieces of its unpacked copy; by default, of its decompressed bytes.
    """

    def __init__(self, data: ContainerBytes, pieces: Iterator[bytes] | None = None) -> None:
        self.shown = data.shown
        self.container = data.container
        self.number = data.number
        self.end: int | None = None
        self.wanted = data.wanted
        self.notes = data.notes
        self.copy: UnnamedFile | None = None
        self._data = data
        self._pieces = copied(decompress(data), data.copy) if pieces is None else pieces
        self._start = 0
        self._buffer = bytearray()

    def can_read(self, offset: int) -> bool:
        """Return whether bytes from this offset can still be read."""
        return offset >= self._start

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See `ContainerBytes.read`."""
        while self._start + len(self._buffer) < offset + size_bytes:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._buffer += piece
            unneeded = min(offset - self._start - _KEPT_BYTES, len(self._buffer))
            if unneeded > STEP_BYTES:
                del self._buffer[:unneeded]
                self._start += unneeded
        first = offset - self._start
        assert self.can_read(offset), "the container is read backwards"
        return bytes(self._buffer[first : first + size_bytes])

    def copy_rest(self) -> None:
        """Read to the end if there is a file for the copy, which then is complete."""
        if self._data.copy is not None:
            for _ in self._pieces:
                pass
            self._data.copy.finish()

    def sibling(self, key: bytes) -> ContainerBytes | None:
        """See `ContainerBytes.sibling`."""
        return self._data.sibling(key)


def hash_members(entries: Iterator[Entry], data: ContainerBytes) -> Iterator[Entry]:
    """Yield entries whose members have the hashes of their files, so that none is read again.

    Args:
        entries: the entries, in the order of their offsets.
        data: the decompressed bytes.
    """
    for entry in entries:
        if entry.member is None or entry.member.xxh3_128 is not None:
            yield entry
            continue
        start = entry.member.file_offset
        digest = xxhash.xxh3_128()
        head = (
            b"" if is_image_name(entry.key) else data.read(start, min(HEAD_BYTES, entry.size_bytes))
        )
        done = 0
        while done < entry.size_bytes:
            piece = data.read(start + done, min(STEP_BYTES, entry.size_bytes - done))
            if not piece:
                break
            digest.update(piece)
            done += len(piece)
        if done < entry.size_bytes:
            yield refuse(entry.key, "the archive is cut short within it", entry.inner)
            return
        yield with_hash(entry, digest.digest())._replace(head=head)


def with_hash(entry: Entry, digest: bytes) -> Entry:
    """Return an entry with the hash of its file, which also is its fingerprint."""
    assert entry.member is not None
    member = msgspec.structs.replace(entry.member, xxh3_128=digest)
    return entry._replace(member=member, fingerprint=int.from_bytes(digest[:8], "big"))
