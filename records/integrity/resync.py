"""Where whole records lie in a stretch of a file of which nothing is known.

A record lies where 12 bytes are a length and the CRC that belongs to it, and as many bytes behind
them have the CRC that follows them. Every place is tried, all at once: a length is at most 1 GiB,
so its upper four bytes are zero, and the CRC of eight bytes of which four are zero follows from a
table. A stretch takes as long as reading it and the longest record that begins in it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import google_crc32c
import numpy as np

from records.format.tfrecord import HEADER_BYTES, MAX_RECORD_BYTES, read_at_most
from records.integrity.crc_combine import mask, masked_range_crcs, prefix_crcs

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTH_BYTES = 4
_CRC_AT = 8


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
    found = prefix_crcs(stream, begin, np.unique(np.concatenate([starts, ends])))
    last = found.places[-1] if len(found.places) else -1
    there = ends <= last
    starts, ends, lengths = starts[there], ends[there], lengths[there]
    at_start, at_end = found.places.searchsorted(starts), found.places.searchsorted(ends)
    crcs = masked_range_crcs(found.crcs[at_start], found.crcs[at_end], lengths)
    return starts[crcs == found.words[at_end]] - HEADER_BYTES, found.end
