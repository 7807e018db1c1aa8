"""WebP files with the first frame alone."""

from __future__ import annotations

from records.images.essentials.base import Essentials
from records.images.essentials.orientation import find_orientation
from records.images.rejection import ImageRejectedError

_HEADER_BYTES = 12
_IMAGE = {b"VP8X", b"ANIM", b"ALPH", b"VP8 ", b"VP8L"}
_METADATA_FLAGS = 0x20 | 0x08 | 0x04  # ICC, EXIF and XMP, in the flags of VP8X


def reduce(data: bytes) -> Essentials:
    """Return a WebP without profile, EXIF, XMP, unknown chunks and later frames."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise ImageRejectedError("truncated", "webp file ends early")
    view = memoryview(data)
    kept: list[bytes | memoryview] = []
    metadata: dict[bytes, bytes] = {}
    seen: set[bytes] = set()
    frames = 0
    at = _HEADER_BYTES
    while at + 8 <= end:
        kind = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        chunk_end = min(at + 8 + size + (size & 1), end)
        if kind == b"ANMF":
            if not frames:
                kept.append(view[at:chunk_end])
            frames += 1
        elif kind in {b"EXIF", b"XMP "}:
            metadata.setdefault(kind, data[at + 8 : min(at + 8 + size, end)])
        elif kind in _IMAGE and kind not in seen:
            seen.add(kind)
            chunk = bytearray(view[at:chunk_end])
            if kind == b"VP8X" and size:
                chunk[8] &= ~_METADATA_FLAGS
            kept.append(bytes(chunk))
        at = chunk_end
    body = b"".join([b"WEBP", *kept])
    return Essentials(
        b"RIFF" + len(body).to_bytes(4, "little") + body,
        find_orientation(metadata.get(b"EXIF"), metadata.get(b"XMP ")),
        frames > 1,
    )
