"""Records of ArrayRecord files: Riegeli chunks, in blocks, with a footer.

The file is a sequence of chunks. A block header interrupts it at each multiple of 64 KiB. A chunk
has a header of 40 bytes: two hashes, the size of its data, its type, the number of its records, and
their size. The last block has the position of the footer, which follows the chunks with records.

The hashes are HighwayHash, which no dependency computes, so damage is found only in the sizes, and
by the readers of the records.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from pipelines.sources.containers.byte_window import ContainerBytes, damaged

BLOCK_BYTES = 1 << 16
_BLOCK_HEADER_BYTES = 24
_USABLE_BYTES = BLOCK_BYTES - _BLOCK_HEADER_BYTES
_HEADER_BYTES = 40
_MAGIC = 0x71930E704FDAE05E
_SIMPLE = ord("r")
_WITHOUT_RECORDS = frozenset(b"smp")
"""The types of signatures, metadata and padding."""
_CODECS = {ord("b"): "brotli", ord("z"): "zstd"}
_MOST_CHUNK_BYTES = 256 << 20
_MOST_RECORDS = 1 << 20
_GROWTH_ALLOWED_BYTES, _MOST_GROWTH = 16 << 20, 1000


class _Chunk(NamedTuple):
    """A chunk: its type, the number of its records, its data, and its end."""

    type: int
    records: int
    data: bytes
    end: int


def read_records(data: ContainerBytes) -> Iterator[bytes]:
    """Yield the records of an ArrayRecord file.

    Raises:
        CorruptDataError: the structure of the file is invalid, or a chunk is too large.
    """
    size_bytes = data.container.size_bytes
    last_block = size_bytes - BLOCK_BYTES
    if last_block < 0:
        raise damaged(data, "it is too short")
    chunk = _read_chunk(data, last_block, size_bytes)
    postscript = next(_records_of(chunk, data, last_block), b"")
    fields = _fields(postscript, data, last_block)
    footer = fields.get(1, 0)
    if fields.get(2) != _MAGIC or footer > last_block:
        raise damaged(data, "its last block is not that of an ArrayRecord file", last_block)
    at = 0
    while at < footer:
        chunk = _read_chunk(data, at, size_bytes)
        if chunk.type == _SIMPLE:
            yield from _records_of(chunk, data, at)
        elif chunk.type not in _WITHOUT_RECORDS:
            raise damaged(data, f"a chunk has the unknown type {chr(chunk.type)!r}", at)
        at = chunk.end


def _read_chunk(data: ContainerBytes, at: int, size_bytes: int) -> _Chunk:
    header = _read_through(data, at, _HEADER_BYTES, size_bytes)
    data_bytes, kind, records, decoded_bytes = (
        int.from_bytes(header[first:end], "little")
        for first, end in ((8, 16), (24, 25), (25, 32), (32, 40))
    )
    if max(data_bytes, decoded_bytes) > _MOST_CHUNK_BYTES or records > _MOST_RECORDS:
        what = f"a chunk has over {_MOST_CHUNK_BYTES:,} bytes or {_MOST_RECORDS:,} records"
        raise damaged(data, what, at)
    content = _read_through(data, at, _HEADER_BYTES + data_bytes, size_bytes)
    end = max(_after(at, _HEADER_BYTES + data_bytes), _possible_boundary(at + records))
    return _Chunk(kind, records, content[_HEADER_BYTES:], end)


def _read_through(data: ContainerBytes, at: int, size_bytes: int, file_bytes: int) -> bytes:
    """Return bytes of a chunk, without the block headers that interrupt them."""
    end = _after(at, size_bytes)
    if end > file_bytes:
        raise damaged(data, "it ends early", at)
    raw = memoryview(data.read(at, end - at))
    if len(raw) < end - at:
        raise damaged(data, "it ends early", at)
    parts, first = [], 0
    for block in range(-at % BLOCK_BYTES, len(raw), BLOCK_BYTES):
        parts.append(raw[first:block])
        first = block + _BLOCK_HEADER_BYTES
    return b"".join([*parts, raw[first:]])


def _after(at: int, size_bytes: int) -> int:
    """Return the position after bytes of a chunk that begin at `at`, and its block headers."""
    blocks = (size_bytes + (at + _USABLE_BYTES - 1) % BLOCK_BYTES) // _USABLE_BYTES
    return at + size_bytes + blocks * _BLOCK_HEADER_BYTES


def _possible_boundary(at: int) -> int:
    """Return the first position from `at` where a chunk may end: not after a block header."""
    return at + max(0, -at % BLOCK_BYTES - (_USABLE_BYTES - 1))


def _records_of(chunk: _Chunk, data: ContainerBytes, at: int) -> Iterator[bytes]:
    """Yield the records of a chunk. Raises CorruptDataError if it is invalid."""
    try:
        yield from _split_chunk(memoryview(chunk.data), chunk.records)
    except (ValueError, IndexError, OSError) as error:
        raise damaged(data, f"a chunk is invalid: {error}", at) from error


def _split_chunk(content: memoryview, records: int) -> Iterator[bytes]:
    """Yield the records of a simple chunk: the sizes of all, and then their bytes.

    Raises:
        ValueError, IndexError, OSError: a size is wrong, or a compressed block is invalid.
    """
    sizes_bytes, first = _varint(content, 1)
    sizes = _decompress(content[first : first + sizes_bytes], content[0])
    values = _decompress(content[first + sizes_bytes :], content[0])
    position = offset = 0
    for _ in range(records):
        size, position = _varint(sizes, position)
        record = bytes(values[offset : offset + size])
        if len(record) < size:
            raise ValueError("a record is longer than its chunk")
        yield record
        offset += size


def _decompress(content: memoryview, compression: int) -> memoryview:
    """Return the content of a compressed block. Raises ValueError, OSError (PyArrow)."""
    if not compression:
        return content
    if compression not in _CODECS:
        raise ValueError(f"the compression {chr(compression)!r} is not supported")
    size_bytes, first = _varint(content, 0)
    if size_bytes > min(_MOST_CHUNK_BYTES, _GROWTH_ALLOWED_BYTES + _MOST_GROWTH * len(content)):
        raise ValueError("it expands too much")
    codec = pa.Codec(_CODECS[compression])
    return memoryview(codec.decompress(content[first:], size_bytes)).cast("B")


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    """Return a number and the position after it. Raises IndexError, ValueError."""
    number = shift = 0
    while True:
        byte = content[position]
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, position
        if shift > 63:
            raise ValueError("a number is too long")


def _fields(message: bytes, data: ContainerBytes, at: int) -> dict[int, int]:
    """Return the numbers in a protobuf message that has only numbers."""
    try:
        return dict(_numbers(memoryview(message)))
    except (ValueError, IndexError) as error:
        raise damaged(data, f"its last block is invalid: {error}", at) from error


def _numbers(message: memoryview) -> Iterator[tuple[int, int]]:
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        if tag & 7:
            raise ValueError("a field of the footer is not a number")
        value, position = _varint(message, position)
        yield tag >> 3, value
