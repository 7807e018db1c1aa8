"""GIF files with the first image alone."""

from __future__ import annotations

from records.images.essentials.base import Essentials

_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_SCREEN_BYTES, _DESCRIPTOR_BYTES = 13, 10
_IS_TRANSPARENT = 1


def reduce(data: bytes) -> Essentials:
    """Return a GIF without comments, other extensions and later images."""
    at = screen_end = _SCREEN_BYTES + palette_bytes(data[10])
    control = b""
    while data[at] != _IMAGE:
        if data[at] == _END:
            raise ValueError("GIF without an image")
        if data[at] != _EXTENSION:
            at += 1
            continue
        end = skip_sub_blocks(data, at + 2)
        if data[at + 1] == _GRAPHIC_CONTROL and (not control or data[at + 3] & _IS_TRANSPARENT):
            control = data[at : at + 3 + data[at + 2]] + b"\0"
        at = end
    palette_end = at + _DESCRIPTOR_BYTES + palette_bytes(data[at + 9])
    try:
        end = skip_sub_blocks(data, palette_end + 1)
    except IndexError:  # the end of the file is missing; the decoder reports it
        return Essentials(data[:screen_end] + control + data[at:])
    image = data[:screen_end] + control + data[at:end] + bytes([_END])
    return Essentials(image, is_animated=_has_image(data, end))


def _has_image(data: bytes, at: int) -> bool:
    try:
        while data[at] != _IMAGE:
            if data[at] == _END:
                return False
            at = skip_sub_blocks(data, at + 2) if data[at] == _EXTENSION else at + 1
    except IndexError:
        return False
    return True


def palette_bytes(flags: int) -> int:
    """Return the size of the palette, by the flags of the screen or of an image."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def skip_sub_blocks(data: bytes, at: int) -> int:
    """Return the offset after the sub-blocks at `at`. Raises IndexError if they do not end."""
    while data[at]:
        at += 1 + data[at]
    return at + 1
