"""The scans of a JPEG: where they are, that an end follows them, and what they leave out.

    FF DA, header | entropy-coded bytes, in which FF is followed by 00 or a restart | next marker …

Decoders forgive each in its own way what is wrong here, so what is wrong must not be passed on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from records.images.rejections import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_COEFFICIENTS = 64


def find_scans(data: bytes, scan_at: int) -> Iterator[int]:
    """Where the payload of each scan's header begins, the first being at `scan_at`.

    Raises:
        RefusedError: `corrupt` when no end-of-image marker comes after the last one.
    """
    yield scan_at
    at = scan_at
    while found := _MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE:
            return
        if marker == _START_OF_SCAN:
            yield at + 2
        at += int.from_bytes(data[at : at + 2])
    raise RefusedError("corrupt", "JPEG has a marker in its image data that leads past its end")


def are_complete(data: bytes, scan_at: int, component_ids: tuple[int, ...]) -> bool:
    """Whether a progressive JPEG refines every coefficient in order, down to its last bit."""
    missing_bits = {identifier: [-1] * _COEFFICIENTS for identifier in component_ids}
    scans = find_scans(data, scan_at)
    return all(_apply(data, at, missing_bits) for at in scans) and not any(
        map(any, missing_bits.values())
    )


def _apply(data: bytes, at: int, missing_bits: dict[int, list[int]]) -> bool:
    """Note what a scan brings; False when it makes no sense after those before it."""
    count = data[at]
    scan = data[at : at + 4 + 2 * count]
    if len(scan) < 4 + 2 * count:
        return False
    first, last, bits = scan[-3:]
    if last >= _COEFFICIENTS:
        return False
    high, low = bits >> 4, bits & 15
    for identifier in scan[1 : 1 + 2 * count : 2]:
        missing = missing_bits.get(identifier, [])
        if any(max(0, known) != high for known in missing[first : last + 1]):
            return False
        missing[first : last + 1] = [low] * len(missing[first : last + 1])
    return True
