"""The format version, and the digest of a file."""

from __future__ import annotations

import hashlib
from typing import Annotated, BinaryIO

import msgspec

FORMAT_VERSION = 3
"""The version of all files of a dataset. There are no readers for other versions."""

FormatVersion = Annotated[int, msgspec.Meta(ge=FORMAT_VERSION, le=FORMAT_VERSION)]
_BLOCK_BYTES = 1 << 20
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class FileDigest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The size of a file in bytes, and its SHA-256 as 64 hexadecimal digits."""

    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256


def digest_stream(stream: BinaryIO) -> FileDigest:
    """Return the digest of the rest of a stream."""
    size_bytes, sha256 = 0, hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        size_bytes += len(block)
        sha256.update(block)
    return FileDigest(size_bytes, sha256.hexdigest())


def digest_of(content: bytes) -> FileDigest:
    """Return the digest of the content of a file."""
    return FileDigest(len(content), hashlib.sha256(content).hexdigest())
