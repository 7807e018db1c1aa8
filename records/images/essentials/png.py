"""PNG files without text, profiles, EXIF and later frames."""

from __future__ import annotations

import zlib

from records.images.essentials.base import Essentials
from records.images.essentials.orientation import find_orientation

_SIGNATURE_BYTES = 8
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_PACKED = {b"zTXt", b"iTXt", b"iCCP"}
_EXIF_KEYWORD, _XMP_KEYWORD = b"Raw profile type exif", b"XML:com.adobe.xmp"
# Pillow refuses files that exceed the first two.
_MAX_TEXT_BYTES = 1 << 20
_MAX_METADATA_BYTES = 16 << 20
_MAX_METADATA_CHUNKS = 1000
_PROFILE_HEADER_LINES = 3


def reduce(data: bytes) -> Essentials:
    """Return a PNG with the chunks of the image alone."""
    view = memoryview(data)
    kept: list[bytes | memoryview] = [view[:_SIGNATURE_BYTES]]
    exif: bytes | None = None
    texts: dict[bytes, bytes] = {}
    is_animated = False
    is_costly = False
    metadata_bytes = 0
    at, kind = _SIGNATURE_BYTES, b""
    kept_from = at
    while kind != b"IEND" and at + 12 <= len(data):
        kind = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if kind not in _KEPT:
            kept.append(view[kept_from:at])
            kept_from = end
            payload = view[at + 8 : end - 4]
            if kind == b"eXIf":
                exif = bytes(payload)
            elif kind in _TEXTS:
                _add_text(texts, kind, payload)
            is_costly |= kind in _PACKED and _unpacks_too_large(kind, payload)
            metadata_bytes += len(payload) if kind != b"fdAT" else 0
            is_animated |= kind == b"acTL"
        at = end
    kept.append(view[kept_from:at])
    if exif is None and _EXIF_KEYWORD in texts:
        exif = _decode_profile(texts[_EXIF_KEYWORD])
    orientation = find_orientation(exif, texts.get(_XMP_KEYWORD))
    reduced = data if len(kept) == 2 else b"".join(kept)
    is_costly |= metadata_bytes > _MAX_METADATA_BYTES or len(kept) > _MAX_METADATA_CHUNKS
    return Essentials(reduced, orientation, is_animated, is_costly)


def _unpacks_too_large(kind: bytes, payload: memoryview) -> bool:
    """Return whether a text or a profile unpacks to more than a megabyte."""
    keyword_end = bytes(payload[:80]).find(b"\0") + 1
    rest = payload[keyword_end + 1 :]
    if kind == b"iTXt":
        if bytes(payload[keyword_end : keyword_end + 1]) != b"\1":
            return False
        rest = _skip_languages(payload[keyword_end:])
    try:
        return len(zlib.decompressobj().decompress(rest, _MAX_TEXT_BYTES + 1)) > _MAX_TEXT_BYTES
    except zlib.error:
        return False


def _skip_languages(rest: memoryview) -> memoryview:
    """Skip the flags, the language and the translated keyword of an iTXt chunk."""
    head = bytes(rest[2 : 2 + _MAX_TEXT_BYTES])
    return rest[2 + head.find(b"\0", head.find(b"\0") + 1) + 1 :]


def _add_text(texts: dict[bytes, bytes], kind: bytes, payload: memoryview) -> None:
    """Add a text that may contain an orientation, at most one megabyte of it."""
    keyword = bytes(payload[:80]).partition(b"\0")[0]
    if keyword not in {_EXIF_KEYWORD, _XMP_KEYWORD}:
        return
    rest = payload[len(keyword) + 1 :]
    is_packed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":
        is_packed = bytes(rest[:1]) == b"\1"
        rest = _skip_languages(rest)
    if not is_packed:
        texts[keyword] = bytes(rest[:_MAX_TEXT_BYTES])
        return
    try:
        texts[keyword] = zlib.decompressobj().decompress(rest, _MAX_TEXT_BYTES)
    except zlib.error:
        return


def _decode_profile(text: bytes) -> bytes:
    """Return the bytes of a `Raw profile`: three lines, and then hex digits."""
    try:
        lines = text.decode("latin-1").split("\n")
        return bytes.fromhex("".join(lines[_PROFILE_HEADER_LINES:]))
    except ValueError:
        return b""
