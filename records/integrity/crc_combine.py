"""The checksums of many byte ranges of a stream, however they overlap, in one pass over it.

The CRC of a range follows from the CRCs of what lies before its end and before its beginning:

    crc(range) = crc(before its end) ^ shift(crc(before its beginning), its length)

where `shift(c, n)` is what n zero bytes make of `c`: linear over bits, so a table of 4 × 256 values
for each power of two (zlib's `crc32_combine` works so). To read the ranges one by one would take
the square of a file's size where somebody nested them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import google_crc32c
import numpy as np

from records.format.tfrecord import FOOTER_BYTES, MASK_DELTA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Offsets = NDArray[np.int64]
    Checksums = NDArray[np.uint32]

_BLOCK_BYTES = 1 << 20
_LENGTH_BITS = 31


class PrefixCrcs(NamedTuple):
    """What a sweep over a stream found at places in it.

    Attributes:
        places: ascending offsets, int64; those with less than 4 bytes behind them are left out.
        crcs: of the bytes from where the sweep began up to each place, uint32.
        words: the 4 bytes from each place on, little-endian uint32.
        end: where the stream ends, if the sweep came to there.
    """

    places: Offsets
    crcs: Checksums
    words: Checksums
    end: int | None


def prefix_crcs(stream: BinaryIO, begin: int, places: Offsets) -> PrefixCrcs:
    """Read a stream from `begin` to the last of `places`, which ascend."""
    stream.seek(begin)
    crcs, words = np.zeros(len(places), np.uint32), np.zeros(len(places), np.uint32)
    block, block_at, done, crc = b"", begin, begin, 0
    for number, place in enumerate(places.tolist()):
        while block_at + len(block) < place + FOOTER_BYTES:
            folded = min(place, block_at + len(block))
            crc = google_crc32c.extend(crc, block[done - block_at : folded - block_at])
            more = stream.read(_BLOCK_BYTES)
            block, block_at, done = block[folded - block_at :] + more, folded, folded
            if not more:
                return PrefixCrcs(
                    places[:number], crcs[:number], words[:number], block_at + len(block)
                )
        crc = google_crc32c.extend(crc, block[done - block_at : place - block_at])
        done = place
        crcs[number] = crc
        footer = block[place - block_at : place - block_at + FOOTER_BYTES]
        words[number] = int.from_bytes(footer, "little")
    return PrefixCrcs(places, crcs, words, None)


def masked_range_crcs(begin_crcs: Checksums, end_crcs: Checksums, lengths: Offsets) -> Checksums:
    """The masked CRC32C of ranges from those before their beginnings and their ends, (ranges,)."""
    return mask(end_crcs ^ shift(begin_crcs, lengths))


def mask(crcs: Checksums) -> Checksums:
    """CRCs as records hold them, see `records.format.tfrecord`."""
    return ((crcs >> np.uint32(15)) | (crcs << np.uint32(17))) + np.uint32(MASK_DELTA)


def shift(crcs: Checksums, lengths: Offsets) -> Checksums:
    """What `lengths` zero bytes, each below 2**31, make of the registers of CRCs, (ranges,)."""
    shifted = crcs.copy()
    for bit, table in enumerate(_zero_tables()):
        chosen = (lengths >> bit) & 1 == 1
        shifted[chosen] = _apply(table, shifted[chosen])
    return shifted


@cache
def _zero_tables() -> tuple[Checksums, ...]:
    """For each power of two what as many zero bytes make of each byte of a register, (4, 256)."""
    nothing = google_crc32c.value(b"\0")
    one = [
        [google_crc32c.extend(byte << 8 * place, b"\0") ^ nothing for byte in range(256)]
        for place in range(4)
    ]
    tables = [np.array(one, np.uint32)]
    while len(tables) < _LENGTH_BITS:
        tables.append(_apply(tables[-1], tables[-1]))
    return tuple(tables)


def _apply(table: Checksums, crcs: Checksums) -> Checksums:
    pieces = [table[place][(crcs >> np.uint32(8 * place)) & np.uint32(255)] for place in range(4)]
    applied: Checksums = pieces[0] ^ pieces[1] ^ pieces[2] ^ pieces[3]
    return applied
