"""TIFF files made by hand, for layouts that Pillow does not write."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
MAKE, SAMPLES, ROWS_PER_STRIP, PLANAR, COLOUR_MAP = 271, 277, 278, 284, 320
TILE_WIDTH, TILE_HEIGHT, CHILDREN, INK_SET = 322, 323, 330, 332
SUBFILE, OLD_SUBFILE, EXTRA, SAMPLE_FORMAT, SUBSAMPLING = 254, 255, 338, 339, 530
DNG_VERSION = 50706
_OFFSETS, _TILE_OFFSETS = 273, 324

Page = dict[Any, Any]
"""Tags by number; `blocks`: strips; `tiles`: tiles; `children`: pages."""


def tiff(pages: list[Page], order: str = "<", *, big: bool = False) -> bytes:
    """Return a TIFF file of a chain of pages; `order` is `<` or `>`."""
    out = bytearray(b"II" if order == "<" else b"MM")
    out += struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 0) if big else (42, 0)))
    link = len(out) - (8 if big else 4)
    for page in pages:
        link = _append(out, order, link, page, big=big)
    return bytes(out)


def _append(out: bytearray, order: str, link: int, page: Page, *, big: bool) -> int:
    """Append a page, write its offset at `link`, and return the position of the next link."""
    tags = {tag: value for tag, value in page.items() if isinstance(tag, int)}
    pointer = order + ("Q" if big else "I")
    pointer_bytes = struct.calcsize(pointer)
    for name, tag in (("blocks", _OFFSETS), ("tiles", _TILE_OFFSETS)):
        if name in page:
            tags[tag] = []
            for block in page[name]:
                tags[tag].append(len(out))
                out += block + bytes(len(block) % 2)
            tags[279 if tag == _OFFSETS else 325] = [len(block) for block in page[name]]
    for child in page.get("children", ()):
        hole = len(out)
        out += bytes(8)
        _append(out, order, hole, child, big=big)
        tags.setdefault(CHILDREN, []).append(struct.unpack_from(pointer, out, hole)[0])
    entries = b""
    for tag in sorted(tags):
        values = tags[tag]
        if isinstance(values, bytes):
            kind, count, content = 2, len(values), values
        else:
            values = list(values) if isinstance(values, (list, tuple)) else [values]
            kind = 4 if tag in {SUBFILE, _OFFSETS, _TILE_OFFSETS, 279, 325, CHILDREN} else 3
            count = len(values)
            content = struct.pack(f"{order}{count}{'I' if kind == 4 else 'H'}", *values)
        if len(content) > pointer_bytes:
            at, content = len(out), content + bytes(len(content) % 2)
            out += content
            content = struct.pack(pointer, at)
        entries += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count)
        entries += content.ljust(pointer_bytes, b"\0")
    struct.pack_into(pointer, out, link, len(out))
    out += struct.pack(order + ("Q" if big else "H"), len(tags)) + entries
    following = len(out)
    out += bytes(pointer_bytes)
    return following


def pack(rows: NDArray[Any], bits: int, order: str = "<") -> bytes:
    """Pack the samples of each row; a row begins with a new byte."""
    rows = rows.reshape(len(rows), -1)
    if bits in {8, 16}:
        return rows.astype(f"{order}u{bits // 8}").tobytes()
    flags = (rows[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(flags.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def picture_page(
    samples: NDArray[Any], bits: int, photometric: int, order: str = "<", **layout: bool
) -> Page:
    """Return a page of samples (height, width, channels), in one of the layouts of TIFF.

    `layout`: `planar`, `tiled`, `deflated`.
    """
    height, width, channels = samples.shape
    tags: Page = {
        WIDTH: width,
        HEIGHT: height,
        BITS: [bits] * channels,
        COMPRESSION: 8 if layout.get("deflated") else 1,
        PHOTOMETRIC: photometric,
        SAMPLES: channels,
        PLANAR: 2 if layout.get("planar") else 1,
    }
    if layout.get("tiled"):
        canvas = np.zeros((-(-height // 16) * 16, -(-width // 16) * 16, channels), samples.dtype)
        canvas[:height, :width] = samples
        parts = [
            canvas[top : top + 16, left : left + 16]
            for top in range(0, height, 16)
            for left in range(0, width, 16)
        ]
        tags |= {TILE_WIDTH: 16, TILE_HEIGHT: 16}
    else:
        parts = [samples[top : top + 8] for top in range(0, height, 8)]
        tags[ROWS_PER_STRIP] = 8
    planes = (
        [slice(at, at + 1) for at in range(channels)] if layout.get("planar") else [slice(None)]
    )
    blocks = [pack(part[:, :, plane], bits, order) for plane in planes for part in parts]
    if layout.get("deflated"):
        blocks = [zlib.compress(block) for block in blocks]
    tags["tiles" if layout.get("tiled") else "blocks"] = blocks
    return tags
