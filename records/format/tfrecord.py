"""Codec of TFRecord frames, without TensorFlow.

    offset      size  field
    0           8     length n, uint64 little-endian
    8           4     masked CRC32C of the 8 length bytes, uint32 little-endian
    12          n     payload
    12 + n      4     masked CRC32C of the payload, uint32 little-endian

A masked CRC is `((crc >> 15 | crc << 17) + 0xa282ead8) mod 2**32`: a CRC of data that contains
a CRC is weak, so the plain value is never stored.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple

import google_crc32c

from records.errors import CorruptDataError
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEADER_BYTES = 12
FOOTER_BYTES = 4
MAX_RECORD_BYTES = 1 << 30
_READ_STEP_BYTES = 16 << 20
MASK_DELTA = 0xA282EAD8
_HEADER = struct.Struct("<QI")
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")

FrameDamage = Literal["truncated", "length-checksum", "payload-checksum", "too-long"]


class FrameError(CorruptDataError):
    """A damaged frame; `kind` is the kind of damage."""

    def __init__(self, kind: FrameDamage, what: str, **where: object) -> None:
        super().__init__(what, **where)  # type: ignore[arg-type]
        self.kind: FrameDamage = kind


class Frame(NamedTuple):
    """A record in a file: the byte offset of its header, and its payload."""

    offset: int
    payload: bytes


def masked_crc32c(*parts: bytes) -> int:
    """Return the masked CRC32C (Castagnoli) of the concatenated parts as a uint32."""
    crc = 0
    for part in parts:
        crc = google_crc32c.extend(crc, part)
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def frame_parts(payload: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the frame of one record: header, payload and footer."""
    return _frame_header(len(payload)), payload, _CRC.pack(masked_crc32c(payload))


@lru_cache(maxsize=1 << 12)
def _frame_header(payload_bytes: int) -> bytes:
    length = _LENGTH.pack(payload_bytes)
    return length + _CRC.pack(masked_crc32c(length))


def frame_bytes(payload: bytes) -> bytes:
    """Return the frame of one record as one bytes object."""
    return b"".join(frame_parts(payload))


def frame_size_bytes(payload_bytes: int) -> int:
    """Return the size of the frame of a payload, in bytes."""
    return HEADER_BYTES + payload_bytes + FOOTER_BYTES


def is_frame_header(header: bytes) -> bool:
    """Return whether 12 bytes are the header of a frame: a length with its valid CRC."""
    if len(header) < HEADER_BYTES:
        return False
    _, crc = _HEADER.unpack_from(header)
    return bool(crc == masked_crc32c(header[:8]))


def is_frame(frame: bytes, *, size_bytes: int) -> bool:
    """Return whether bytes are a valid frame of a known size."""
    header = _frame_header(size_bytes - HEADER_BYTES - FOOTER_BYTES)
    if len(frame) != size_bytes or not frame.startswith(header):
        return False
    return frame.endswith(_CRC.pack(masked_crc32c(frame[HEADER_BYTES:-FOOTER_BYTES])))


def are_parts_of_frame(begin: bytes, middle: bytes, end: bytes, *, size_bytes: int) -> bool:
    """Return whether three parts are together a valid frame of a known size.

    Args:
        begin: the first part; it contains the header.
        middle: the part between the two others.
        end: the last part; it contains the footer.
        size_bytes: the size of the frame.
    """
    header = _frame_header(size_bytes - HEADER_BYTES - FOOTER_BYTES)
    if len(begin) + len(middle) + len(end) != size_bytes or not begin.startswith(header):
        return False
    crc = masked_crc32c(begin[HEADER_BYTES:], middle, end[:-FOOTER_BYTES])
    return end.endswith(_CRC.pack(crc))


def payload_length(header: bytes, *, record: int | None = None, offset: int = 0) -> int:
    """Return the length of the payload from the 12 bytes of a frame header.

    Raises:
        FrameError: the header is truncated, its CRC is wrong, or the length is over 1 GiB.
    """
    if len(header) < HEADER_BYTES:
        raise FrameError(
            "truncated",
            "the file ends inside the header of a record",
            record=record,
            offset=offset,
            expected=f"{HEADER_BYTES} bytes",
            got=len(header),
        )
    length, crc = _HEADER.unpack(header)
    if crc != masked_crc32c(header[:8]):
        raise FrameError(
            "length-checksum",
            "the checksum of a record length is wrong",
            record=record,
            offset=offset,
            expected=f"{masked_crc32c(header[:8]):#010x}",
            got=f"{crc:#010x}",
        )
    if length > MAX_RECORD_BYTES:
        raise FrameError(
            "too-long",
            "a record is too long",
            record=record,
            offset=offset,
            expected=f"at most {MAX_RECORD_BYTES} bytes",
            got=length,
        )
    return int(length)


def check_payload(
    payload: bytes, footer: bytes, length: int, *, record: int | None, offset: int
) -> bytes:
    """Return the payload of a frame if its CRC matches the footer.

    Raises:
        FrameError: the payload or the footer is truncated, or the CRC is wrong.
    """
    check_parts((payload,), footer, length, record=record, offset=offset)
    return payload


def check_parts(
    parts: Sequence[bytes], footer: bytes, length: int, *, record: int | None, offset: int
) -> None:
    """Check a payload that was read in parts. Raises as `check_payload`."""
    payload_bytes = 0
    for part in parts:
        payload_bytes += len(part)
    if payload_bytes < length or len(footer) < FOOTER_BYTES:
        raise FrameError(
            "truncated",
            "the file ends inside a record",
            record=record,
            offset=offset,
            expected=f"{pluralize(length + FOOTER_BYTES, 'byte')} after the header",
            got=payload_bytes + len(footer),
        )
    (crc,) = _CRC.unpack(footer)
    actual = masked_crc32c(*parts)
    if crc != actual:
        raise FrameError(
            "payload-checksum",
            "the checksum of a record is wrong",
            record=record,
            offset=offset,
            expected=f"{crc:#010x}",
            got=f"{actual:#010x}",
        )


def read_frames(stream: BinaryIO) -> Iterator[Frame]:
    """Yield the records from the current position of a stream to its end, and check the CRCs.

    Raises:
        FrameError: a record is damaged; the error has the number and the offset of the record.
    """
    record, offset = 0, 0
    while header := read_at_most(stream, HEADER_BYTES):
        length = payload_length(header, record=record, offset=offset)
        # Two reads: slicing the payload out of one larger read would copy it.
        payload, footer = read_at_most(stream, length), stream.read(FOOTER_BYTES)
        yield Frame(offset, check_payload(payload, footer, length, record=record, offset=offset))
        record += 1
        offset += frame_size_bytes(length)


def read_at_most(stream: BinaryIO, size: int) -> bytes:
    """Read up to `size` bytes in steps, so that a wrong `size` allocates no more than the file."""
    if size <= _READ_STEP_BYTES:
        return stream.read(size)
    pieces = []
    while size > 0 and (piece := stream.read(min(size, _READ_STEP_BYTES))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
