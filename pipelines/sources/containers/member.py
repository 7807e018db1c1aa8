"""Containers, and the places of their members: container, offset, length."""

from __future__ import annotations

from typing import Literal

import msgspec

TAR_HEADER_BYTES = 512
Encoding = Literal["stored", "tar", "zip", "zip-deflated", "array"]


class Container(msgspec.Struct, frozen=True, array_like=True):
    """A file that contains images; sent to each worker.

    Attributes:
        key: path below the location of the source, raw bytes.
        size_bytes: size of the file when it was listed.
        fingerprint: fingerprint of the file when it was listed; see `ListedFile`.
        is_unpacked: whether offsets of members are those in the unpacked copy of the container.
        is_own: whether this run wrote the file. The hashes of its members show damage, so its
            fingerprint is not compared.
    """

    key: bytes
    size_bytes: int
    fingerprint: int
    is_unpacked: bool = False
    is_own: bool = False


class ArrayShape(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The shape of an image of samples: unsigned bytes, row by row.

    Attributes:
        height: the height in pixels.
        width: the width in pixels.
        channels: 1 for grey, 3 for RGB.
        is_planar: whether the samples of each channel are together.
    """

    height: int
    width: int
    channels: int
    is_planar: bool


class Member(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The place of a file in a container.

    Attributes:
        container: number of the container, from 0.
        offset: position of the first byte; for `tar` and `zip`, of the header before it.
        length: number of bytes in the container, without the header.
        encoding: `stored` is the file itself. `tar` is a file after a header of 512 bytes. `zip`
            and `zip-deflated` are a file after a local header of ZIP. `array` is samples, which are
            read as a PNG file.
        check: CRC32 of the header of a `tar` member, or of the file of a ZIP member.
        xxh3_128: hash of the bytes in the container, if the listing has read them.
        shape: shape of the samples of an `array`.
    """

    container: int
    offset: int
    length: int
    encoding: Encoding = "stored"
    check: int = 0
    xxh3_128: bytes | None = None
    shape: ArrayShape | None = None

    @property
    def file_offset(self) -> int:
        """Return the position of a file that is not in a ZIP archive."""
        return self.offset + (TAR_HEADER_BYTES if self.encoding == "tar" else 0)

    def encode(self) -> bytes:
        """Return the member as a value of `SourceImage.member`."""
        return _encode(self)


def known_hash(encoded: bytes | None) -> bytes | None:
    """Return the xxh3-128 of a file that its listing has read; None for any other file."""
    member = None if encoded is None else decode_member(encoded)
    return member.xxh3_128 if member is not None and member.encoding != "array" else None


_encode = msgspec.msgpack.Encoder().encode
decode_member = msgspec.msgpack.Decoder(Member).decode
"""Return the `Member` of a value of `SourceImage.member`."""
