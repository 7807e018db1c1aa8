"""Search for intact records in a file, without an index.

A record begins at an offset if the next 12 bytes are a length and its CRC, and the payload of this
length is followed by the CRC of the payload. All offsets of a region are tested together: a
length is at most 1 GiB, so its upper four bytes are zero, and the CRC of a length is looked up in a
table. The time is the time to read the region and the longest record that begins in the region.

Valid headers may be anywhere, even inside the payload of a record: an image of 500 kB can contain
40,000 headers of records that end after the image. To check these records separately would read
10 GB. With a limit on the bytes read, the image could hide the intact records after it. So every
byte is read once, and the CRC of a range is computed from two CRCs: of the bytes before the start
of the range, and of the bytes before its end.

    crc(range) = crc(before its end) ^ shift(crc(before its start), its length)

`shift(c, n)` is the CRC after n zero bytes are appended to bytes with the CRC `c`. It multiplies
the polynomial `c` by x to the power 8n, modulo the polynomial of the CRC (as `crc32_combine` of
zlib does).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import google_crc32c
import numpy as np

from records.format.tfrecord import (
    FOOTER_BYTES,
    HEADER_BYTES,
    MASK_DELTA,
    MAX_RECORD_BYTES,
    read_at_most,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTH_BYTES = 4
_CRC_OFFSET = 8
_BLOCK_BYTES = 1 << 20
# Bits are reversed, as in the CRC: the highest bit is the coefficient of x to the power 0.
_POLYNOMIAL = np.uint32(0x82F63B78)
_X_TO_THE_8 = 1 << 23


class ScannedRegion(NamedTuple):
    """A region of a file, and the intact records that begin in it.

    Attributes:
        begin: the first offset that was tested.
        end: the offset after the last tested offset.
        records: offsets of the frames of intact records, ascending.
        file_end: the size of the file, if its end was read; else None.
    """

    begin: int
    end: int
    records: NDArray[np.int64]
    file_end: int | None

    def first_record(self, offset: int) -> int | None:
        """Return the offset of the first intact record at or after `offset`, or None."""
        number = int(self.records.searchsorted(offset))
        return int(self.records[number]) if number < len(self.records) else None

    def rules_out(self, offset: int) -> bool:
        """Return whether an offset was tested and no intact record begins there."""
        return self.begin <= offset < self.end and self.first_record(offset) != offset


EMPTY = ScannedRegion(0, 0, np.empty(0, np.int64), None)


def find_records(stream: BinaryIO, begin: int, size_bytes: int) -> ScannedRegion:
    """Find the intact records that begin in the `size_bytes` bytes from `begin`."""
    stream.seek(begin)
    content = read_at_most(stream, size_bytes + HEADER_BYTES - 1)
    offsets, lengths = find_headers(content)
    inside = offsets < size_bytes
    starts = offsets[inside] + begin + HEADER_BYTES
    records, file_end = _find_intact(stream, begin, starts, lengths[inside])
    if len(content) < size_bytes + HEADER_BYTES - 1:
        file_end = begin + len(content)
    return ScannedRegion(begin, begin + min(size_bytes, len(content)), records, file_end)


def find_headers(content: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the offsets of valid headers in `content`, and the payload lengths, as int64."""
    if len(content) < HEADER_BYTES:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    samples = np.frombuffer(content, np.uint8)
    offsets = _find_candidates(samples)
    table = _length_table()
    crcs = np.full(len(offsets), table.of_zero, np.uint32)
    for number in range(_LENGTH_BYTES):
        crcs ^= table.of_byte[number][samples[offsets + number]]
    lengths = _read_words(samples, offsets).astype(np.int64)
    right = (mask(crcs) == _read_words(samples, offsets + _CRC_OFFSET)) & (
        lengths <= MAX_RECORD_BYTES
    )
    return offsets[right], lengths[right]


def _find_candidates(samples: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the offsets where the upper 4 bytes of a length are zero, but not the full header."""
    zero = samples == 0
    pairs = zero[:-1] & zero[1:]
    fours = pairs[:-2] & pairs[2:]
    lower, upper, crc = (
        fours[at : len(fours) - _CRC_OFFSET + at] for at in (0, _LENGTH_BYTES, _CRC_OFFSET)
    )
    return np.flatnonzero(upper & ~(lower & crc))


def _read_words(samples: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the little-endian uint32 at each offset."""
    words = np.zeros(len(offsets), np.uint32)
    for number in range(4):
        words |= samples[offsets + number].astype(np.uint32) << np.uint32(8 * number)
    return words


class _LengthTable(NamedTuple):
    """The CRC of 8 zero bytes, and its XOR difference for each value of each of the first 4."""

    of_zero: np.uint32
    of_byte: NDArray[np.uint32]


@cache
def _length_table() -> _LengthTable:
    of_zero = google_crc32c.value(bytes(8))
    of_byte = [
        [google_crc32c.value((byte << 8 * place).to_bytes(8, "little")) ^ of_zero
         for byte in range(256)]
        for place in range(_LENGTH_BYTES)
    ]  # fmt: skip
    return _LengthTable(np.uint32(of_zero), np.array(of_byte, np.uint32))


def _find_intact(
    stream: BinaryIO, begin: int, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int | None]:
    """Return the frame offsets of the payloads that are followed by their CRC."""
    ends = starts + lengths
    frame_ends = ends + FOOTER_BYTES
    offsets = np.unique(np.concatenate([starts, ends, frame_ends]))
    crcs, file_end = _prefix_crcs(stream, begin, offsets)
    complete = frame_ends <= (offsets[len(crcs) - 1] if len(crcs) else -1)
    starts, ends, lengths = starts[complete], ends[complete], lengths[complete]
    at_start, at_end, at_frame_end = (
        crcs[offsets.searchsorted(at)] for at in (starts, ends, frame_ends[complete])
    )
    footers = mask(at_end ^ shift(at_start, lengths)).astype("<u4")
    expected = [
        google_crc32c.extend(crc, footer.tobytes())
        for crc, footer in zip(at_end.tolist(), footers, strict=True)
    ]
    return starts[at_frame_end == np.array(expected, np.uint32)] - HEADER_BYTES, file_end


def _prefix_crcs(
    stream: BinaryIO, begin: int, offsets: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], int | None]:
    """Return the CRCs of the bytes from `begin` up to each of the ascending `offsets`.

    Offsets after the end of the stream have no CRC. The second value is then the end of the stream,
    otherwise None.
    """
    stream.seek(begin)
    at, crc = begin, 0
    crcs: list[int] = []
    for offset in offsets.tolist():
        while at < offset:
            block = stream.read(min(_BLOCK_BYTES, offset - at))
            if not block:
                return np.array(crcs, np.uint32), at
            crc = google_crc32c.extend(crc, block)
            at += len(block)
        crcs.append(crc)
    return np.array(crcs, np.uint32), None


def mask(crcs: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the masked CRCs, as in `records.format.tfrecord`."""
    return ((crcs >> np.uint32(15)) | (crcs << np.uint32(17))) + np.uint32(MASK_DELTA)


def shift(crcs: NDArray[np.uint32], lengths: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the CRCs after `lengths` zero bytes are appended; all arrays have shape (ranges,)."""
    shifted = crcs.copy()
    for bit, power in enumerate(_powers()):
        chosen = (lengths >> bit) & 1 == 1
        if chosen.any():
            shifted[chosen] = _multiply(power, shifted[chosen])
    return shifted


@cache
def _powers() -> list[int]:
    """Return powers of x with the exponents 8, 16, 32 and so on, one per bit of a length."""
    powers = [_X_TO_THE_8]
    while len(powers) < MAX_RECORD_BYTES.bit_length():
        powers.append(int(_multiply(powers[-1], np.array([powers[-1]], np.uint32))[0]))
    return powers


def _multiply(one: int, others: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the products of `one` and each of `others`, modulo the CRC32C polynomial."""
    products = np.zeros_like(others)
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            products ^= others
        others = (others >> np.uint32(1)) ^ (others & np.uint32(1)) * _POLYNOMIAL
    return products
