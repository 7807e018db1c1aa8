"""TIFF files with one directory: the tags of the image.

Pillow and libtiff read the values of every tag, as often as a tag refers to them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from records.images.essentials.base import Essentials
from records.images.essentials.orientation import (
    MAX_ENTRIES,
    ORIENTATION_TAG,
    Entry,
    Layout,
    entry_number,
    find_orientation,
    read_entries,
    read_layout,
    valid_orientation,
    value_offset,
)
from records.images.rejection import ImageRejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

_WIDTH, _HEIGHT, _SAMPLES, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 277, 278, 322, 323
_STRIP_OFFSETS, _TILE_OFFSETS = 273, 324
_STRIP_TAGS = {_STRIP_OFFSETS, 279, _TILE_OFFSETS, 325}
_XMP = 700
# Bits, compression, photometric interpretation, fill order, layout of the samples, fax options,
# predictor, palette, JPEG tables, colour conversion, windows media photo, LERC.
_KEPT = {
    *(_WIDTH, _HEIGHT, _SAMPLES, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT, *_STRIP_TAGS),
    *(
        258,
        259,
        262,
        266,
        284,
        292,
        293,
        317,
        320,
        332,
        338,
        339,
        347,
        512,
        513,
        514,
        515,
        517,
        518,
    ),
    *(519, 520, 521, 529, 530, 531, 532, 48129, 50674),
}
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_MAX_VALUE_BYTES = 3 * 2 * (1 << 16)  # a palette of 16 bits
_MAX_STRIPS, _ALWAYS_ALLOWED_STRIPS = 1 << 17, 1 << 10


class _Value(NamedTuple):
    type: int
    values: int
    content: bytes


def reduce(data: bytes) -> Essentials:
    """Return a TIFF with the tags of its first image, and no other directory."""
    layout = read_layout(data)
    listed, following = read_entries(data, layout)
    entries = {entry.tag: entry for entry in listed}
    values = {
        tag: value
        for tag in sorted(_KEPT & entries.keys())
        if (value := _read_value(data, layout, entries[tag])) is not None
    }
    _require_plausible_strips(values, layout)
    found = entry_number(entries.get(ORIENTATION_TAG), layout)
    if found is None and _XMP in entries:
        at = value_offset(entries[_XMP], layout)
        found = find_orientation(None, data[at : at + entries[_XMP].size_bytes])
    return Essentials(
        _with_directory(data, layout, [entries[tag] for tag in values]),
        valid_orientation(found),
        following not in {0, layout.directory_at},
    )


def read_tiff_size(read_range: Callable[[int, int], bytes]) -> tuple[int, int]:
    """Return the width and height in pixels, without reading the complete file.

    Args:
        read_range: a function that returns bytes of the file, by offset and size.

    Raises:
        ValueError, struct.error: the directory is corrupt.
    """
    layout = read_layout(read_range(0, 16))
    at, size = layout.directory_at, MAX_ENTRIES * struct.calcsize(layout.entry)
    listed, _ = read_entries(read_range(at, size), layout._replace(directory_at=0))
    entries = {entry.tag: entry for entry in listed}
    width, height = (entry_number(entries.get(tag), layout) for tag in (_WIDTH, _HEIGHT))
    return width or 0, height or 0


def is_truncated(data: bytes) -> bool:
    """Return whether the first directory, a strip or a tile extends beyond the end of the file.

    Raises:
        ImageRejectedError, ValueError, struct.error: the directory is corrupt.
    """
    layout = read_layout(data)
    (count,) = struct.unpack_from(layout.length, data, layout.directory_at)
    listed, _ = read_entries(data, layout)
    if len(listed) < count:
        return True
    entries = {entry.tag: entry for entry in listed}
    for offsets_tag, sizes_tag in ((_STRIP_OFFSETS, 279), (_TILE_OFFSETS, 325)):
        if offsets_tag in entries and sizes_tag in entries:
            offsets = _numbers(_read_value(data, layout, entries[offsets_tag]), layout)
            sizes = _numbers(_read_value(data, layout, entries[sizes_tag]), layout)
            if any(at + size > len(data) for at, size in zip(offsets, sizes, strict=False)):
                return True
    return False


def _read_value(data: bytes, layout: Layout, entry: Entry) -> _Value | None:
    """Return the values of an entry; None if the type is unknown, or the values are missing."""
    at, size = value_offset(entry, layout), entry.size_bytes
    limit = 8 * _MAX_STRIPS if entry.tag in _STRIP_TAGS else _MAX_VALUE_BYTES
    if size > limit:
        raise ImageRejectedError("unsupported", f"TIFF tag {entry.tag} has {entry.values:,} values")
    if not size:
        return None
    content = entry.inline[:size] if size <= len(entry.inline) else data[at : at + size]
    return _Value(entry.type, entry.values, content) if len(content) == size else None


def _numbers(value: _Value | None, layout: Layout) -> tuple[int, ...]:
    number = _NUMBERS.get(value.type) if value else None
    if value is None or number is None:
        return ()
    return struct.unpack(f"{layout.order}{value.values}{number}", value.content)


def _require_plausible_strips(values: dict[int, _Value], layout: Layout) -> None:
    """Reject more strips than the image has rows, or more tiles than it has room for."""

    def number(tag: int, default: int) -> int:
        return (_numbers(values.get(tag), layout) or (default,))[0]

    width, height = number(_WIDTH, 1), number(_HEIGHT, 1)
    across = -(-width // max(1, number(_TILE_WIDTH, width)))
    strips = -(-height // max(1, number(_ROWS_PER_STRIP, height)))
    tiles = -(-height // max(1, number(_TILE_HEIGHT, height))) * across
    for tag, expected in ((_STRIP_OFFSETS, strips), (_TILE_OFFSETS, tiles)):
        count = values[tag].values if tag in values else 0
        allowed = max(_ALWAYS_ALLOWED_STRIPS, expected * number(_SAMPLES, 1))
        if count > min(allowed, _MAX_STRIPS):
            raise ImageRejectedError(
                "corrupt", f"TIFF of size {width}x{height} has {count:,} strips or tiles"
            )


def _with_directory(data: bytes, layout: Layout, entries: list[Entry]) -> bytes:
    """Return the file with fewer entries in its first directory, and no other directory."""
    directory = [struct.pack(layout.length, len(entries))]
    directory += [struct.pack(layout.entry, *entry) for entry in entries]
    directory.append(struct.pack(layout.offset, 0))
    replaced = b"".join(directory)
    view, at = memoryview(data), layout.directory_at
    return b"".join([view[:at], replaced, view[at + len(replaced) :]])
