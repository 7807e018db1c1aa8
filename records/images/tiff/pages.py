"""Pages of a TIFF file: which one is the picture.

A TIFF file is a chain of directories (pages), which may have child directories. The first one is
not always the picture: it may be a preview, a mask, or the thumbnail of a camera raw file.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from records.images.rejection import ImageRejectedError

CAMERA_RAW = "camera raw file, not developed; convert it to JPEG or TIFF first"

# Canon CR2 and Phase One IIQ have a second magic number. In other raw files, a directory shows it.
_RAW_MAGIC = re.compile(rb"(?:II\*\0|MM\0\*).{4}(?:CR\x02|IIII|MMMM)", re.DOTALL)
_BIG_TIFF, _BIG_TIFF_BIG_ENDIAN = {b"II+\0", b"MM\0+"}, b"MM\0+"

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT = 254, 255, 256, 257
_PHOTOMETRIC, _MAKE, _CHILDREN, _DNG_VERSION = 262, 271, 330, 50706
_READ = {_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _MAKE, _CHILDREN, _DNG_VERSION}
_SENSOR, _LINEAR_SENSOR = 32803, 34892
# Bits of NewSubfileType: reduced resolution, mask, depth map, preview of another rendering.
_NOT_THE_PICTURE = 1 | 4 | 8 | 65536
_OLD_REDUCED = 2

# Limits for hostile files. Real files have far fewer directories before the picture.
_MAX_DIRECTORIES, _MAX_ENTRIES, _MAX_VALUES = 64, 4096, 16
_NUMBER_BYTES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}

_Tags = dict[int, tuple[int, ...]]


class _Page(NamedTuple):
    offset: int
    tags: _Tags
    children: list[_Tags]


def begin_with_picture(data: bytes) -> tuple[bytes, bool]:
    """Find the first page other than previews, masks and depth maps.

    Args:
        data: a complete TIFF file.

    Returns:
        The file, with a chain of pages that begins with the picture (`data` itself if it does), and
        whether pages before it are left out.

    Raises:
        ImageRejectedError: `unsupported` if the file is camera raw, or contains only previews and
            masks.
    """
    if _RAW_MAGIC.match(data):
        raise ImageRejectedError("unsupported", CAMERA_RAW)
    if data.startswith(_BIG_TIFF_BIG_ENDIAN):
        raise ImageRejectedError("unsupported", "big-endian BigTIFF; save the picture as PNG")
    pages = _read_pages(data)
    index = _find_picture(pages)
    if index == 0:
        return data, False
    start, width = _first_pointer(data)
    offset = pages[index].offset.to_bytes(width, _byte_order(data))
    return b"".join((data[:start], offset, data[start + width :])), True


def _find_picture(pages: list[_Page]) -> int:
    """Return the number of the page that is the picture; 0 if there is no page."""
    directories = [tags for page in pages for tags in (page.tags, *page.children)]
    preview = any(_is_larger(child, page.tags) for page in pages for child in page.children)
    index = next((at for at, page in enumerate(pages) if not _is_secondary(page.tags)), None)
    if index is None and len(directories) == 1 and _MAKE not in directories[0]:
        index = 0  # the only picture, whatever it is called
    camera = any(_MAKE in tags for tags in directories)
    if any(_is_camera_raw(tags) for tags in directories) or (
        camera and (preview or (pages and index is None))
    ):
        raise ImageRejectedError("unsupported", CAMERA_RAW)
    if preview or (pages and index is None):
        raise ImageRejectedError(
            "unsupported", "the pages of this TIFF are previews or masks; save the picture as PNG"
        )
    return index or 0


def _is_camera_raw(tags: _Tags) -> bool:
    return _DNG_VERSION in tags or _number(tags, _PHOTOMETRIC) in {_SENSOR, _LINEAR_SENSOR}


def _is_secondary(tags: _Tags) -> bool:
    return bool(
        _number(tags, _SUBFILE) & _NOT_THE_PICTURE or _number(tags, _OLD_SUBFILE) == _OLD_REDUCED
    )


def _is_larger(child: _Tags, parent: _Tags) -> bool:
    """Return whether a child is a picture of more pixels, so that its parent is a preview."""
    areas = [_number(tags, _WIDTH) * _number(tags, _HEIGHT) for tags in (child, parent)]
    return areas[0] > areas[1] and not _is_secondary(child)


def _number(tags: _Tags, tag: int) -> int:
    values = tags.get(tag)
    return values[0] if values else 0


def _byte_order(data: bytes) -> Literal["little", "big"]:
    return "little" if data[:2] == b"II" else "big"


def _first_pointer(data: bytes) -> tuple[int, int]:
    """Return position and size, in bytes, of the offset of the first directory."""
    return (8, 8) if data[:4] in _BIG_TIFF else (4, 4)


def _read_pages(data: bytes) -> list[_Page]:
    """Read the tags that distinguish pictures from previews; missing bytes count as zeros."""
    start, width = _first_pointer(data)
    at = int.from_bytes(data[start : start + width], _byte_order(data))
    seen: set[int] = set()
    pages: list[_Page] = []
    while at and at not in seen and len(seen) < _MAX_DIRECTORIES:
        seen.add(at)
        tags, following = _read_directory(data, at)
        children = []
        for child in tags.get(_CHILDREN, ()):
            if child not in seen and len(seen) < _MAX_DIRECTORIES:
                seen.add(child)
                children.append(_read_directory(data, child)[0])
        pages.append(_Page(at, tags, children))
        at = following
    return pages


def _read_directory(data: bytes, at: int) -> tuple[_Tags, int]:
    """Return the tags of a directory by which pages differ, and the offset of the next one."""
    order = _byte_order(data)
    big = data[:4] in _BIG_TIFF
    count_bytes, field_bytes = (8, 8) if big else (2, 4)
    first = at + count_bytes
    count = int.from_bytes(data[at:first], order)
    entry_bytes = 4 + 2 * field_bytes
    tags: _Tags = {}
    for number in range(min(count, _MAX_ENTRIES)):
        entry = data[first + number * entry_bytes : first + (number + 1) * entry_bytes]
        tag = int.from_bytes(entry[:2], order)
        if tag in _READ:
            tags[tag] = _read_numbers(data, entry, field_bytes)
    end = first + count * entry_bytes
    return tags, int.from_bytes(data[end : end + field_bytes], order)


def _read_numbers(data: bytes, entry: bytes, field_bytes: int) -> tuple[int, ...]:
    """Return the numbers of a directory entry; nothing for text and other types."""
    order = _byte_order(data)
    size = _NUMBER_BYTES.get(int.from_bytes(entry[2:4], order), 0)
    count = int.from_bytes(entry[4 : 4 + field_bytes], order)
    values = entry[4 + field_bytes :]
    if size * count > field_bytes:
        at = int.from_bytes(values, order)
        values = data[at : at + size * min(count, _MAX_VALUES)]
    return tuple(
        int.from_bytes(values[size * number : size * (number + 1)], order)
        for number in range(min(count, _MAX_VALUES) if size else 0)
    )
