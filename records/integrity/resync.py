"""Where whole records lie in a stretch of a file of which nothing is known.

A record lies where 12 bytes are a length and the CRC that belongs to it, and as many bytes behind
them have the CRC that follows them. Every place is tried, all at once: a length is at most 1 GiB,
so its upper four bytes are zero, and the CRC of eight bytes of which four are zero follows from a
table. A stretch takes as long as reading it and the longest record that begins in it.

Headers may be anywhere, also inside one another's payloads: a picture of 500 kB can hold 40,000
that all end behind it, and checking one after another would read 10 GB. With a limit on what is
read, such a picture could hide the whole records behind it. So every byte is read once, and the CRC
of a range follows from those of the bytes before its beginning and before its end:

    crc(range) = crc(before its end) ^ shift(crc(before its beginning), its length)

where `shift(c, n)` is what n zero bytes make of `c`: its product with x to the power 8n among
polynomials over bits, modulo that of the CRC (zlib's `crc32_combine` works so).
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
_CRC_AT = 8
_BLOCK_BYTES = 1 << 20
# Bits are reversed, as in the CRC itself: the highest is the coefficient of x to the power 0.
_POLYNOMIAL = np.uint32(0x82F63B78)
_X_TO_THE_8 = 1 << 23


class ScannedRegion(NamedTuple):
    """What a survey of the bytes from `begin` up to `end` found.

    Attributes:
        begin: where it begins.
        end: behind the last place at which a record was looked for.
        records: offsets of the frames of whole records that begin there, ascending.
        file_end: where the file ends, if that was seen.
    """

    begin: int
    end: int
    records: NDArray[np.int64]
    file_end: int | None

    def first_record(self, place: int) -> int | None:
        """The offset of the first whole record from `place` on."""
        number = int(self.records.searchsorted(place))
        return int(self.records[number]) if number < len(self.records) else None

    def refutes(self, place: int) -> bool:
        """Whether no whole record begins at `place`, which was surveyed."""
        return self.begin <= place < self.end and self.first_record(place) != place


EMPTY = ScannedRegion(0, 0, np.empty(0, np.int64), None)


def find_records(stream: BinaryIO, begin: int, size_bytes: int) -> ScannedRegion:
    """Look for records that begin in the `size_bytes` bytes from `begin`, wherever they end."""
    stream.seek(begin)
    content = read_at_most(stream, size_bytes + HEADER_BYTES - 1)
    places, lengths = find_headers(content)
    inside = places < size_bytes
    starts = places[inside] + begin + HEADER_BYTES
    whole, file_end = _find_whole(stream, begin, starts, lengths[inside])
    if len(content) < size_bytes + HEADER_BYTES - 1:
        file_end = begin + len(content)
    return ScannedRegion(begin, begin + min(size_bytes, len(content)), whole, file_end)


def find_headers(content: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where in `content` the headers of records may lie, and the lengths they tell, in bytes."""
    if len(content) < HEADER_BYTES:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    samples = np.frombuffer(content, np.uint8)
    places = _find_candidates(samples)
    table = _length_table()
    crcs = np.full(len(places), table.of_zero, np.uint32)
    for number in range(_LENGTH_BYTES):
        crcs ^= table.of_byte[number][samples[places + number]]
    lengths = _read_words(samples, places).astype(np.int64)
    right = (mask(crcs) == _read_words(samples, places + _CRC_AT)) & (lengths <= MAX_RECORD_BYTES)
    return places[right], lengths[right]


def _find_candidates(samples: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where the upper bytes of a length are zero, but not all of its header: that is none."""
    zero = samples == 0
    pairs = zero[:-1] & zero[1:]
    fours = pairs[:-2] & pairs[2:]
    lower, upper, crc = (
        fours[at : len(fours) - _CRC_AT + at] for at in (0, _LENGTH_BYTES, _CRC_AT)
    )
    return np.flatnonzero(upper & ~(lower & crc))


def _read_words(samples: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The little-endian uint32 at each of some places."""
    words = np.zeros(len(places), np.uint32)
    for number in range(4):
        words |= samples[places + number].astype(np.uint32) << np.uint32(8 * number)
    return words


class _LengthTable(NamedTuple):
    """The CRC of 8 zero bytes, and what each value of each of the first four changes of it."""

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


def _find_whole(
    stream: BinaryIO, begin: int, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int | None]:
    """The frames of those payloads, by where they start, that have the CRC that follows them."""
    ends = starts + lengths
    behind = ends + FOOTER_BYTES
    places = np.unique(np.concatenate([starts, ends, behind]))
    crcs, file_end = _sum_prefixes(stream, begin, places)
    there = behind <= (places[len(crcs) - 1] if len(crcs) else -1)
    starts, ends, behind, lengths = starts[there], ends[there], behind[there], lengths[there]
    at_start, at_end, at_behind = (crcs[places.searchsorted(at)] for at in (starts, ends, behind))
    footers = mask(at_end ^ shift(at_start, lengths)).astype("<u4")
    expected = [
        google_crc32c.extend(crc, footer.tobytes())
        for crc, footer in zip(at_end.tolist(), footers, strict=True)
    ]
    return starts[at_behind == np.array(expected, np.uint32)] - HEADER_BYTES, file_end


def _sum_prefixes(
    stream: BinaryIO, begin: int, places: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], int | None]:
    """The CRCs of the bytes from `begin` up to each of `places`, which ascend.

    Those behind the end of the stream are left out, and the end is told.
    """
    stream.seek(begin)
    at, crc = begin, 0
    crcs: list[int] = []
    for place in places.tolist():
        while at < place:
            block = stream.read(min(_BLOCK_BYTES, place - at))
            if not block:
                return np.array(crcs, np.uint32), at
            crc = google_crc32c.extend(crc, block)
            at += len(block)
        crcs.append(crc)
    return np.array(crcs, np.uint32), None


def mask(crcs: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """CRCs as records hold them, see `records.format.tfrecord`."""
    return ((crcs >> np.uint32(15)) | (crcs << np.uint32(17))) + np.uint32(MASK_DELTA)


def shift(crcs: NDArray[np.uint32], lengths: NDArray[np.int64]) -> NDArray[np.uint32]:
    """What `lengths` zero bytes make of the registers of CRCs, (ranges,)."""
    shifted = crcs.copy()
    for bit, power in enumerate(_powers()):
        chosen = (lengths >> bit) & 1 == 1
        if chosen.any():
            shifted[chosen] = _multiply(power, shifted[chosen])
    return shifted


@cache
def _powers() -> list[int]:
    """Powers of x, with the exponents 8, 16, 32 and so on: one for each bit of a length."""
    powers = [_X_TO_THE_8]
    while len(powers) < MAX_RECORD_BYTES.bit_length():
        powers.append(int(_multiply(powers[-1], np.array([powers[-1]], np.uint32))[0]))
    return powers


def _multiply(one: int, others: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The products of a polynomial and each of others, modulo that of CRC32C."""
    products = np.zeros_like(others)
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            products ^= others
        others = (others >> np.uint32(1)) ^ (others & np.uint32(1)) * _POLYNOMIAL
    return products
