"""Parts of a damaged GZIP or ZLIB file that can be decompressed.

A part begins at a member and ends at the first damage, or at the end of the file. The next part
begins at the next intact member: bytes that look like the header of a member, and decompress to the
header of a record, or up to the checksum of the member. Without these checks, compressed data can
look like a member.

The search begins in the damaged member, because the decompressor may read a damaged member beyond
its end. Each byte is read a constant number of times, also if the file contains members inside
members: after too many bytes were read twice, the search begins at the damage.
"""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from records.errors import CorruptDataError
from records.format.tfrecord import HEADER_BYTES, is_frame_header
from records.format.tfrecord_compression import (
    BLOCK_BYTES,
    BUFFER_BYTES,
    GZIP_OR_ZLIB,
    InflateReader,
    TooLargeError,
    is_compressed,
)

if TYPE_CHECKING:
    from typing import Any

_FIRST_WINDOW_BYTES = 1 << 12
_WINDOW_BYTES = 1 << 20
_HEAD_BYTES = 1 << 10  # enough for the 12 bytes of a record header
_REREAD_BYTES = 1 << 20
_CHECKSUM_BYTES = 8
_CHECKSUM_ERRORS = ("incorrect data check", "incorrect length check")
_HEADERS = {  # of a member, by the first byte of the file
    b"\x1f": re.compile(rb"\x1f\x8b\x08[\x00-\x1f]"),
    b"\x78": re.compile(rb"\x78[\x01\x5e\x9c\xda]"),
}


class PartialStream:
    """The bytes of a file, in parts; damage to the compression ends a part.

    Attributes:
        stream: the bytes of the current part; seekable.
        begin: the number of bytes in the parts before.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.begin = 0

    def next_part(self) -> DamagedEnd | None:
        """Move to the next part, from the end of the current one.

        Returns:
            The damage between the two parts, or after the last part; None if the current part ends
            without damage.
        """
        return None


class DamagedEnd(NamedTuple):
    """Damage that ends a part.

    Attributes:
        error: the damage.
        lost_bytes: the number of compressed bytes from the damage to the next part, or to the end
            of the file; None if only the checksum of the data is damaged.
        is_last: whether no part follows.
    """

    error: CorruptDataError
    lost_bytes: int | None
    is_last: bool


def open_until_damage(stream: BinaryIO) -> PartialStream:
    """Open a stream like `open_tfrecord`; damage ends a part instead of raising an error."""
    return _InflatedParts(stream) if is_compressed(stream) else PartialStream(stream)


class _InflatedParts(PartialStream):
    def __init__(self, source: BinaryIO) -> None:
        self._members = _Members(source)
        self._open(0)
        self.begin = 0

    def _open(self, offset: int) -> None:
        self._offset = offset
        self._inflated = _InflateUntilDamage(self._members.source, offset)
        self.stream = io.BufferedReader(self._inflated, BUFFER_BYTES)

    def next_part(self) -> DamagedEnd | None:
        error = self._inflated.damage
        if error is None:
            return None
        damaged_at = self._inflated.lost_from
        self._members.read_bytes += self._inflated.consumed_bytes
        # A file that expands too much is not searched: each of its members may do so.
        is_bomb = isinstance(error, TooLargeError)
        begin = None if is_bomb else self._members.find(self._inflated.member_at, damaged_at)
        lost = (self._members.size_bytes if begin is None else begin) - damaged_at
        is_checksum = str(error.got).endswith(_CHECKSUM_ERRORS) and lost <= _CHECKSUM_BYTES
        if begin is not None:
            self.begin += self.stream.tell()
            self._open(begin)
        return DamagedEnd(error, None if is_checksum else lost, begin is None)


class _InflateUntilDamage(InflateReader):
    """Decompressed bytes up to the first damage: each byte before it.

    Attributes:
        damage: the damage; None before it.
        lost_from: the offset of the first compressed byte that is lost.
    """

    damage: CorruptDataError | None = None
    lost_from = 0
    _is_at_damage = False

    def _restart(self) -> None:
        super()._restart()
        self._is_at_damage = False
        self._error: zlib.error | None = None
        self._error_within = 0  # the number of pending bytes, up to the one with the error

    def readinto(self, buffer: Any) -> int:
        if self._is_at_damage:
            return 0
        try:
            return super().readinto(buffer)
        except CorruptDataError as error:
            self.damage, self._is_at_damage = error, True
            has_data = self._position > self.member_position
            at = self._begin + self.consumed_bytes
            self.lost_from = at if has_data else min(at, self.member_at)
            return 0

    def _inflate_some(self, limit: int) -> bytes:
        # An error discards the data before it: halve the input, down to the byte with the error.
        pending = self._pending
        while True:
            size = len(pending) if self._error is None else self._error_within // 2
            if size == 0 and self._error is not None:
                raise self._error
            before = self._inflate.copy()
            try:
                self._pending = pending[:size]
                data = super()._inflate_some(limit)
            except zlib.error as error:
                self._inflate, self._pending = before, pending
                self._error, self._error_within = error, size
            else:
                self._error_within -= size - len(self._pending)
                self._pending += pending[size:]
                return data


class _Members:
    """The members of a compressed file, found by their first bytes.

    Attributes:
        source: the compressed file.
        read_bytes: the number of bytes that were decompressed.
    """

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        self.read_bytes = 0
        self._header = _HEADERS[source.read(1)]
        self.size_bytes = source.seek(0, io.SEEK_END)

    def find(self, begin: int, damaged_at: int) -> int | None:
        """Return the offset of the next member after a damaged member at `begin`, or None."""
        place, size = begin + 1, _FIRST_WINDOW_BYTES
        if not self._may_read_again(damaged_at):
            place = max(place, damaged_at)
        while place < self.size_bytes:
            self.source.seek(place)
            window = self.source.read(size + _HEAD_BYTES)
            for match in self._header.finditer(window):
                at = match.start()
                if at < size and self._is_member(place + at, window[at : at + _HEAD_BYTES]):
                    return place + at
            place += size
            size = min(2 * size, _WINDOW_BYTES)
        return None

    def _may_read_again(self, offset: int) -> bool:
        return self.read_bytes <= 2 * offset + _REREAD_BYTES

    def _is_member(self, offset: int, head: bytes) -> bool:
        try:
            first = zlib.decompressobj(GZIP_OR_ZLIB).decompress(head, HEADER_BYTES)
        except zlib.error:
            return False
        return is_frame_header(first) or self._has_checksum(offset)

    def _has_checksum(self, offset: int) -> bool:
        """Return whether a member decompresses up to its checksum; count the bytes."""
        inflate = zlib.decompressobj(GZIP_OR_ZLIB)
        self.source.seek(offset)
        while self._may_read_again(offset) and (block := self.source.read(BLOCK_BYTES)):
            self.read_bytes += len(block)
            try:
                while block and not inflate.eof:
                    inflate.decompress(block, BUFFER_BYTES)
                    block = inflate.unconsumed_tail
            except zlib.error:
                return False
            if inflate.eof:
                return True
        return False
