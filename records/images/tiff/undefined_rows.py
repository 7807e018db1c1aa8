"""Check that fax and JPEG data of a TIFF define every pixel.

If the data of a strip ends early, or if its JPEG is smaller than the strip, libtiff reports no
error and does not write the other pixels, so that two decodings of one file may differ. The same
holds for tiles.

CCITT strips are decoded twice: once after a white strip, once after a black strip, which libtiff
writes to the same memory before. Rows that differ are not defined by the data.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, TiffImagePlugin

from records.images.jpeg import read_frame_size
from records.images.rejection import ImageRejectedError
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JPEG = 7
_CCITT = {2: "tiff_ccitt", 3: "group3", 4: "group4"}
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_ROWS_PER_STRIP, _T4_OPTIONS = 278, 292
_STRIPS, _TILES = (273, 279), (324, 325)
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_COPIED = (_COMPRESSION, _FILL_ORDER, _T4_OPTIONS, 293)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_HEADER_BYTES = 8
_LONG = 4


def require_all_rows(image: TiffImagePlugin.TiffImageFile) -> None:
    """Reject an opened TIFF with CCITT or JPEG data that does not define every pixel.

    Raises:
        ImageRejectedError: `truncated`, if pixels are missing; `corrupt`, if a JPEG is.
        Exception: any exception from Pillow, if the bytes are corrupt.
    """
    tags = image.tag_v2
    compression = tags.get(_COMPRESSION, 1)
    if compression != _JPEG and compression not in _CCITT:
        return
    data = image.fp.getvalue()  # type: ignore[union-attr] # opened from memory, not loaded yet
    if compression == _JPEG:
        _require_jpeg_sizes(tags, data)
        return
    first, second = (_decode_after(color, tags, data) for color in (0, 1))
    if not np.array_equal(first, second):
        raise ImageRejectedError("truncated", "the CCITT data ends before the last row")


def _require_jpeg_sizes(tags: TiffImagePlugin.ImageFileDirectory_v2, data: bytes) -> None:
    parts = _parts(tags, data)
    is_tiled = _TILE_WIDTH in tags
    width_px = tags[_TILE_WIDTH] if is_tiled else tags[_WIDTH]
    length_px = tags[_TILE_LENGTH] if is_tiled else _rows_per_strip(tags)
    strips_per_plane = -(-tags[_LENGTH] // max(length_px, 1))
    for number, part in enumerate(parts):
        rows_px = length_px
        if not is_tiled:
            rows_px = min(length_px, tags[_LENGTH] - number % strips_per_plane * length_px)
        found_px = read_frame_size(part)
        if found_px[0] < width_px or found_px[1] < rows_px:
            raise ImageRejectedError(
                "truncated",
                f"a JPEG part of the TIFF has {found_px[0]}x{pluralize(found_px[1], 'pixel')}, "
                f"expected {width_px}x{rows_px}",
            )


def _parts(tags: TiffImagePlugin.ImageFileDirectory_v2, data: bytes) -> list[bytes]:
    """Return the data of each strip or tile."""
    offsets, counts = _TILES if _TILE_WIDTH in tags else _STRIPS
    return [
        data[offset : offset + count]
        for offset, count in zip(tags[offsets], tags[counts], strict=True)
    ]


def _decode_after(
    color: int, tags: TiffImagePlugin.ImageFileDirectory_v2, data: bytes
) -> NDArray[np.bool_]:
    """Return the rows of all strips or tiles, each decoded after one of a single color."""
    is_tiled = _TILE_WIDTH in tags
    offsets, counts = _TILES if is_tiled else _STRIPS
    parts = _parts(tags, data)
    width_px = tags[_TILE_WIDTH] if is_tiled else tags[_WIDTH]
    length_px = tags[_TILE_LENGTH] if is_tiled else _rows_per_strip(tags)
    last_px = length_px if is_tiled else tags[_LENGTH] - (len(parts) - 1) * length_px
    plain = _encode_plain(color, width_px, length_px, tags)
    fields: dict[int, tuple[int, ...]] = {tag: (tags[tag],) for tag in _COPIED if tag in tags}
    fields |= {_WIDTH: (width_px,), _BITS: (1,), _PHOTOMETRIC: (1,)}
    fields[_LENGTH] = ((2 * len(parts) - 1) * length_px + last_px,)
    sides = (_TILE_WIDTH, _TILE_LENGTH) if is_tiled else (_WIDTH, _ROWS_PER_STRIP)
    fields |= {sides[0]: (width_px,), sides[1]: (length_px,)}
    pieces = [piece for part in parts for piece in (plain, part)]
    starts = np.cumsum([_HEADER_BYTES, *map(len, pieces)]).tolist()
    fields |= {offsets: tuple(starts[:-1]), counts: tuple(map(len, pieces))}
    content = write_tiff(b"".join(pieces), fields)
    with Image.open(BytesIO(content), formats=("TIFF",)) as joined:
        rows = np.asarray(joined)
    return np.concatenate(
        [rows[top : top + length_px] for top in range(length_px, len(rows), 2 * length_px)]
    )


def _rows_per_strip(tags: TiffImagePlugin.ImageFileDirectory_v2) -> int:
    return int(min(tags.get(_ROWS_PER_STRIP, tags[_LENGTH]), tags[_LENGTH]))


def _encode_plain(
    color: int, width_px: int, length_px: int, tags: TiffImagePlugin.ImageFileDirectory_v2
) -> bytes:
    """Return a strip of a single color in the compression of a file."""
    stream, info = BytesIO(), {_ROWS_PER_STRIP: length_px}
    if _T4_OPTIONS in tags:
        info[_T4_OPTIONS] = tags[_T4_OPTIONS]
    picture = Image.new("1", (width_px, length_px), color)
    picture.save(stream, "TIFF", compression=_CCITT[tags[_COMPRESSION]], tiffinfo=info)
    content = stream.getvalue()
    with Image.open(BytesIO(content)) as saved:
        written = saved.tag_v2  # type: ignore[attr-defined] # the format is TIFF
        (offset,), (count,) = (written[tag] for tag in _STRIPS)
    strip = content[offset : offset + count]
    return strip.translate(_REVERSED) if tags.get(_FILL_ORDER, 1) == 2 else strip


def write_tiff(body: bytes, fields: dict[int, tuple[int, ...]]) -> bytes:
    """Return a TIFF whose header is followed by `body`; all fields are 32-bit numbers."""
    body += bytes(len(body) % 2)
    directory_at = _HEADER_BYTES + len(body)
    entries, tail = b"", b""
    tail_at = directory_at + 2 + 12 * len(fields) + 4
    for tag, numbers in sorted(fields.items()):
        value = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            value, tail = struct.pack("<I", tail_at + len(tail)), tail + value
        entries += struct.pack("<HHI", tag, _LONG, len(numbers)) + value
    directory = struct.pack("<H", len(fields)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", directory_at) + body + directory + tail
