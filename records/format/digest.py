"""The format version, and the digest of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
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


def digest_blocks(blocks: Iterable[bytes], *sinks: Callable[[bytes], object]) -> FileDigest:
    """Return the digest of blocks; also pass each block to `sinks`: files and other hashes."""
    size_bytes, sha256 = 0, hashlib.sha256()
    for block in blocks:
        size_bytes += len(block)
        for sink in (sha256.update, *sinks):
            sink(block)
    return FileDigest(size_bytes, sha256.hexdigest())


def digest_stream(stream: BinaryIO, *sinks: Callable[[bytes], object]) -> FileDigest:
    """Return the digest of the rest of a stream; see `digest_blocks`."""
    return digest_blocks(iter(lambda: stream.read(_BLOCK_BYTES), b""), *sinks)


def digest_of(content: bytes) -> FileDigest:
    """Return the digest of the content of a file."""
    return FileDigest(len(content), hashlib.sha256(content).hexdigest())
