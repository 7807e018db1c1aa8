"""Reading of members: the bytes of a place, checked and decompressed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import xxhash

from pipelines.sources.containers.member import TAR_HEADER_BYTES, Member
from pipelines.sources.reader import UnreadableError
from records.images import encode_samples

ReadRange = Callable[[int, int], bytes]
"""A function that takes an offset and a size, and returns up to that many bytes of a container."""

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
"""The header before a member of a ZIP archive; name and extra field follow it."""
_LOCAL_MAGIC = b"PK\3\4"
_EXTRA_BYTES = 320
"""The local header, the name and the extra fields of most members."""
_STEP_BYTES = 256 << 10


class ChangedMemberError(UnreadableError):
    """The bytes at the place of a member are not those that the listing found."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, "corrupt")


def read_whole(read: ReadRange, member: Member, size_bytes: int) -> bytes:
    """Return the file of a member.

    Args:
        read: the function that reads the container.
        member: the member.
        size_bytes: the size of the file.

    Raises:
        ChangedMemberError: the bytes are not those of the listing, or are damaged.
    """
    content = _read_file(read, member, size_bytes)
    if member.xxh3_128 is not None and xxhash.xxh3_128_digest(content) != member.xxh3_128:
        raise ChangedMemberError("the member differs from the one that was listed")
    shape = member.shape
    if shape is None:
        return content
    return encode_samples(
        content, shape.height, shape.width, shape.channels, is_planar=shape.is_planar
    )


def _read_file(read: ReadRange, member: Member, size_bytes: int) -> bytes:
    if member.encoding in {"stored", "array"}:
        return _require(read(member.offset, size_bytes), size_bytes)
    if member.encoding == "tar":
        data = _require(
            read(member.offset, TAR_HEADER_BYTES + size_bytes), TAR_HEADER_BYTES + size_bytes
        )
        header, content = data[:TAR_HEADER_BYTES], data[TAR_HEADER_BYTES:]
        if zlib.crc32(header) != member.check:
            raise ChangedMemberError("the header of the member is not the one that was listed")
        return content
    content = _read_zip(read, member)
    if member.encoding == "zip-deflated":
        content = _inflate(content, size_bytes)
    if len(content) != size_bytes or zlib.crc32(content) != member.check:
        raise ChangedMemberError("the checksum of the member in the ZIP archive does not match")
    return content


def read_part(read: ReadRange, member: Member, offset: int, size_bytes: int) -> bytes:
    """Return up to `size_bytes` bytes of a member from `offset`, unchecked."""
    if member.encoding == "zip-deflated":
        return _inflate_part(read, member, offset, size_bytes)
    is_zip = member.encoding == "zip"
    start = _data_offset(read, member) if is_zip else member.file_offset
    return read(start + offset, min(size_bytes, max(0, member.length - offset)))


def _require(data: bytes, size_bytes: int) -> bytes:
    if len(data) != size_bytes:
        raise ChangedMemberError("the container ends within the member")
    return data


def _read_zip(read: ReadRange, member: Member) -> bytes:
    """Return the bytes after the local header of a member; mostly by one read."""
    data = read(member.offset, _EXTRA_BYTES + member.length)
    start = _header_bytes(data)
    if start + member.length > len(data):
        return _require(read(member.offset + start, member.length), member.length)
    return data[start : start + member.length]


def _data_offset(read: ReadRange, member: Member) -> int:
    return member.offset + _header_bytes(read(member.offset, LOCAL_HEADER.size))


def _header_bytes(data: bytes) -> int:
    """Return the size of the local header at the beginning of `data`, with name and extra field."""
    if len(data) < LOCAL_HEADER.size or not data.startswith(_LOCAL_MAGIC):
        raise ChangedMemberError("the local header of the member is missing")
    *_, name_bytes, extra_bytes = LOCAL_HEADER.unpack_from(data)
    return LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)


def zip_pieces(read: ReadRange, member: Member, size_bytes: int) -> Iterator[bytes]:
    """Yield the file of a ZIP member in pieces, checked at the end.

    Args:
        read: the function that reads the container.
        member: the member.
        size_bytes: the size of the file.

    Raises:
        ChangedMemberError: the size or the checksum do not match.
        zlib.error: the compressed data are damaged.
    """
    at = _data_offset(read, member)
    end = at + member.length
    check = done = 0
    is_deflated = member.encoding == "zip-deflated"
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    data = b""
    while done < size_bytes:
        if not data:
            data = read(at, min(_STEP_BYTES, end - at))
            at += len(data)
        piece = decompressor.decompress(data, _STEP_BYTES) if is_deflated else data
        if not (piece or data):
            break
        data = decompressor.unconsumed_tail if is_deflated else b""
        check = zlib.crc32(piece, check)
        done += len(piece)
        yield piece
    if done != size_bytes or check != member.check:
        raise ChangedMemberError("the checksum of the member in the ZIP archive does not match")


def _inflate(data: bytes, size_bytes: int) -> bytes:
    """Return the decompressed data; at most one byte more than `size_bytes`."""
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return decompressor.decompress(data, size_bytes + 1)
    except zlib.error as error:
        raise ChangedMemberError("the compressed data of the member are damaged") from error


def _inflate_part(read: ReadRange, member: Member, offset: int, size_bytes: int) -> bytes:
    """Return a part of a deflated member; everything before it is decompressed too."""
    start = _data_offset(read, member)
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    found = bytearray()
    done = at = 0
    data = b""
    try:
        while len(found) < size_bytes and not decompressor.eof:
            if not data:
                data = read(start + at, min(_STEP_BYTES, member.length - at))
                at += len(data)
            piece = decompressor.decompress(data, _STEP_BYTES)
            if not (piece or data):
                break
            data = decompressor.unconsumed_tail
            found += piece[max(0, offset - done) :]
            done += len(piece)
    except zlib.error as error:
        raise ChangedMemberError("the compressed data of the member are damaged") from error
    return bytes(found[:size_bytes])
