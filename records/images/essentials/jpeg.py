"""JPEG files without application data and comments."""

from __future__ import annotations

from records.images.essentials.base import Essentials
from records.images.essentials.orientation import find_orientation, is_costly_exif

_START_OF_SCAN, _COMMENT = 0xDA, 0xFE
_APPLICATION_DATA = range(0xE0, 0xF0)
_EXIF_OR_XMP = 0xE1
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
# The segments that determine the colour space.
_COLOUR_SPACES = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
_PAYLOAD_AT = 4
_BARE = {0x00, 0x01, 0xFF, *range(0xD0, 0xD9)}


def reduce(data: bytes) -> Essentials:
    """Return a JPEG without application data and comments before the first scan."""
    metadata = _Metadata()
    kept: list[bytes] = []
    at = 2
    while True:
        at = data.index(b"\xff", at)
        marker = data[at + 1]
        if marker in _BARE:
            at += 1
            continue
        if marker == _START_OF_SCAN:
            break
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if end < at + 4 or end > len(data):
            raise ValueError("JPEG segment has an impossible length")
        if marker in _APPLICATION_DATA:
            metadata.add(marker, data[at:end])
        elif marker != _COMMENT:
            kept.append(data[at:end])
        at = end
    colour_spaces = metadata.colour_spaces.values()
    reduced = b"".join([data[:2], *colour_spaces, *kept, memoryview(data)[at:]])
    exif = b"".join(metadata.exif)
    orientation = find_orientation(exif, metadata.xmp)
    return Essentials(reduced, orientation, is_costly=is_costly_exif(exif))


class _Metadata:
    """The application data that counts: orientation, and the last segment of each colour space."""

    def __init__(self) -> None:
        self.exif: list[bytes] = []
        self.xmp: bytes | None = None
        self.colour_spaces: dict[bytes, bytes] = {}

    def add(self, marker: int, segment: bytes) -> None:
        """Add a segment, which begins with its marker and its length."""
        if marker == _EXIF_OR_XMP:
            if segment.startswith(_EXIF, _PAYLOAD_AT):
                self.exif.append(segment[_PAYLOAD_AT + (len(_EXIF) if self.exif else 0) :])
            elif segment.startswith(_XMP, _PAYLOAD_AT):
                self.xmp = segment[_PAYLOAD_AT + len(_XMP) :]
            return
        prefix = _COLOUR_SPACES.get(marker)
        if prefix is not None and segment.startswith(prefix, _PAYLOAD_AT):
            self.colour_spaces[prefix] = segment
