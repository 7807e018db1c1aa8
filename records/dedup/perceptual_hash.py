"""Perceptual hashes that survive resizing, re-encoding and slight cropping.

Each hash is the `phash` of ImageHash: the signs of the 12 × 12 lowest frequencies of a picture, 144
bits. Changes of size, quality and brightness change few bits. Cropping changes more bits: if 5 % is
cropped at every side, the hash differs from the original hash as much as the hash of an unrelated
picture does. Hashes are therefore computed for the full picture and for ten windows, cropped at all
sides, at one side, or at two adjacent sides. The full hash of a cropped picture is then near one of
the window hashes of the original.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from records.runtime.extras import require_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHOD = "phash-12x12, 11 windows, 1"
"""The name of the hash method; must change with the method or a constant below."""

SIDE_PX = 96
"""Side of the hashed square, in px."""

# Fractions cropped at left, top, right and bottom. Any crop from 0 to 10 % is within 2.5 % of an
# entry.
_CROPS = (
    (0.0, 0.0, 0.0, 0.0),
    (0.04, 0.04, 0.04, 0.04),
    (0.085, 0.085, 0.085, 0.085),
    (0.075, 0.0, 0.0, 0.0),
    (0.0, 0.075, 0.0, 0.0),
    (0.0, 0.0, 0.075, 0.0),
    (0.0, 0.0, 0.0, 0.075),
    (0.075, 0.075, 0.0, 0.0),
    (0.075, 0.0, 0.0, 0.075),
    (0.0, 0.075, 0.075, 0.0),
    (0.0, 0.0, 0.075, 0.075),
)
WINDOWS = len(_CROPS)
"""Number of windows; the first is the full picture."""

WORDS = 3
"""64-bit words per hash. The first contains the 8 × 8 lowest frequencies, the last two the rest."""

_FREQUENCIES = 12
_LOWEST = 8
_MIN_DEVIATION = 4.0


def hash_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint64] | None:
    """Return the hashes of the windows of a picture.

    Args:
        pixels: the grey values, uint8 of shape (SIDE_PX, SIDE_PX).

    Returns:
        The hashes, uint64 of shape (WINDOWS, WORDS); None if all pixels are almost the same grey,
        because the hash would then depend only on noise.

    Raises:
        UsageError: ImageHash is not installed.
    """
    if pixels.std() < _MIN_DEVIATION:
        return None
    picture = Image.fromarray(pixels)
    return np.stack([_hash_window(picture, *crop) for crop in _CROPS])


def _hash_window(
    picture: Image.Image, left: float, top: float, right: float, bottom: float
) -> NDArray[np.uint64]:
    box = (SIDE_PX * left, SIDE_PX * top, SIDE_PX * (1 - right), SIDE_PX * (1 - bottom))
    # phash resizes every picture to this size. A window of this size is only copied.
    size = (SIDE_PX // 2, SIDE_PX // 2)
    window = picture.resize(size, Image.Resampling.BILINEAR, box)
    imagehash = require_extra("imagehash", "dedup")
    signs = imagehash.phash(window, _FREQUENCIES, size[0] // _FREQUENCIES).hash
    bits = np.zeros(WORDS * 64, bool)
    bits[:64] = signs[:_LOWEST, :_LOWEST].ravel()
    rest = np.concatenate([signs[:_LOWEST, _LOWEST:].ravel(), signs[_LOWEST:].ravel()])
    bits[64 : 64 + len(rest)] = rest
    return np.packbits(bits).view(np.uint64)
