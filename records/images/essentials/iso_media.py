"""AVIF and HEIF files without EXIF.

    size (4 bytes), type (4), payload | … | mdat: coded images and metadata

EXIF does not turn these images: a property of the image does. An item of an unknown type is
ignored, so the type of EXIF items is overwritten.
"""

from __future__ import annotations

from records.images.essentials.base import Essentials

_WITH_ITEMS = {b"meta", b"moov"}
_LARGE, _TO_END = 1, 0


def reduce(data: bytes) -> Essentials:
    """Return the file, with its EXIF items declared as free space."""
    parts: list[bytes] = []
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if size == _LARGE:
            size = int.from_bytes(data[at + 8 : at + 16])
        elif size == _TO_END:
            size = len(data)
        box = data[at : at + max(8, size)]
        parts.append(box.replace(b"Exif", b"free") if data[at + 4 : at + 8] in _WITH_ITEMS else box)
        at += len(box)
    return Essentials(b"".join([*parts, data[at:]]))
