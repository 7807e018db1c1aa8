"""Orientation in EXIF and XMP metadata, read in linear time."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

UPRIGHT = 1
ORIENTATION_TAG = 0x0112
_EXIF_PREFIXES = re.compile(rb"(?:Exif\0\0)*")
_ORIENTATIONS = range(1, 9)
_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q"}
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_TYPE_BYTES = dict.fromkeys((1, 2, 6, 7), 1) | {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_TYPE_BYTES |= {13: 4, 16: 8, 17: 8, 18: 8}
MAX_ENTRIES = 4096
_MAX_OFFSET = 1 << 62
_COSTLY_RATIO = 4
_MAX_PREFIX_BYTES = 4 * len(b"Exif\0\0")


class TooManyEntriesError(ValueError):
    """A directory has more entries than are read."""


class Layout(NamedTuple):
    """The byte order and the field widths of a TIFF file or an EXIF block.

    Attributes:
        order: the byte order, for `struct`.
        directory_at: the offset of the first directory.
        length: the format of the number of entries of a directory.
        entry: the format of an entry: tag, type, number of values, value or offset.
        offset: the format of an offset.
    """

    order: str
    directory_at: int
    length: str
    entry: str
    offset: str


class Entry(NamedTuple):
    """A directory entry: tag, number of the type, number of values, and the values or their offset.

    Of several entries with one tag, the last counts.
    """

    tag: int
    type: int
    values: int
    inline: bytes

    @property
    def size_bytes(self) -> int:
        """The size of the values; 0 if the type is unknown."""
        return self.values * _TYPE_BYTES.get(self.type, 0)


def read_layout(data: bytes) -> Layout:
    """Return the layout of a TIFF file or EXIF block. Raises ValueError, struct.error."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None:
        raise ValueError("TIFF without a byte order")
    if data[2:4] == b"+\0":
        (directory_at,) = struct.unpack_from(order + "Q", data, 8)
        if directory_at > _MAX_OFFSET:
            raise ValueError("TIFF with an impossible offset")
        return Layout(order, directory_at, order + "Q", order + "HHQ8s", order + "Q")
    (directory_at,) = struct.unpack_from(order + "I", data, 4)
    return Layout(order, directory_at, order + "H", order + "HHI4s", order + "I")


def read_entries(data: bytes, layout: Layout) -> tuple[list[Entry], int]:
    """Return the entries of the first directory, and the offset of the next directory.

    If the directory ends early, so does the list.

    Raises:
        TooManyEntriesError: the directory has more entries than `MAX_ENTRIES`.
    """
    entries: list[Entry] = []
    at = layout.directory_at
    try:
        (count,) = struct.unpack_from(layout.length, data, at)
        at += struct.calcsize(layout.length)
        for number in range(count):
            if number == MAX_ENTRIES:
                raise TooManyEntriesError(
                    f"a directory has {count:,} entries, over {MAX_ENTRIES:,}"
                )
            entries.append(Entry(*struct.unpack_from(layout.entry, data, at)))
            at += struct.calcsize(layout.entry)
        (following,) = struct.unpack_from(layout.offset, data, at)
    except struct.error:
        return entries, 0
    return entries, following


def strip_exif_prefix(exif: bytes) -> bytes:
    """Return an EXIF block without the identifier of a JPEG segment."""
    prefixes = _EXIF_PREFIXES.match(exif)
    return exif[prefixes.end() if prefixes else 0 :]


def find_orientation(exif: bytes | None, xmp: bytes | None) -> int:
    """Return the orientation, 1 to 8; 1 if the metadata is missing or unreadable.

    Args:
        exif: an EXIF block, with or without the identifier of a JPEG segment.
        xmp: an XMP packet, which counts if the EXIF block has no orientation.
    """
    try:
        found = read_exif_orientation(exif) if exif else None
    except (ValueError, struct.error):
        return UPRIGHT
    if found is None and xmp:
        match = _XMP_ORIENTATION.search(xmp)
        found = int(match[1]) if match else None
    return valid_orientation(found)


def valid_orientation(found: int | None) -> int:
    """Return an orientation that was found; 1 if it is none of 1 to 8."""
    return found if found is not None and found in _ORIENTATIONS else UPRIGHT


def read_exif_orientation(exif: bytes) -> int | None:
    """Return the value of the orientation tag; None without the tag, 0 if it is invalid.

    Raises:
        ValueError, struct.error: the block is not EXIF.
    """
    exif = strip_exif_prefix(exif)
    if not exif:
        return None
    layout = read_layout(exif)
    entries = {entry.tag: entry for entry in read_entries(exif, layout)[0]}
    return entry_number(entries.get(ORIENTATION_TAG), layout)


def is_costly_exif(exif: bytes) -> bool:
    """Return whether readers take far longer for an EXIF block than for its bytes.

    That is so if its tags refer to more bytes than it has, or if its identifier is repeated: Pillow
    copies the block for each identifier.
    """
    exif, size_bytes = strip_exif_prefix(exif), len(exif)
    if size_bytes - len(exif) > _MAX_PREFIX_BYTES:
        return True
    try:
        layout = read_layout(exif)
        entries, _ = read_entries(exif, layout)
    except TooManyEntriesError:
        return True
    except (ValueError, struct.error):
        return False
    # Values beyond the end of the block, which are common, cost nothing.
    ranges = ((value_offset(entry, layout), entry.size_bytes) for entry in entries)
    read_bytes = sum(size for at, size in ranges if at + size <= len(exif))
    return read_bytes > _COSTLY_RATIO * len(exif)


def value_offset(entry: Entry, layout: Layout) -> int:
    """Return the offset of values that are not inline."""
    return int(struct.unpack(layout.offset, entry.inline)[0])


def entry_number(entry: Entry | None, layout: Layout) -> int | None:
    """Return the number in an entry with one inline number; None without an entry, otherwise 0."""
    if entry is None:
        return None
    number = _NUMBERS.get(entry.type)
    if number is None or entry.values != 1:
        return 0
    if struct.calcsize(number) > len(entry.inline):
        return 0
    value: int = struct.unpack_from(layout.order + number, entry.inline)[0]
    return value
