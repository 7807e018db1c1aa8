"""The hashes of a picture by which it is found resized, encoded otherwise or slightly cropped.

Each is imagehash's `phash`: the signs of a picture's 12 × 12 lowest frequencies, 144 bits, which
neither size, quality nor brightness changes much. Cropping does: 5 % off every side change as many
bits as another picture. So the hash is taken of the whole picture and of ten windows of it, as if
it had been cropped there: at all sides, at one, or at two that meet. The whole of a cropped picture
then is near one of the windows of the picture that it was cut from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagehash
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHOD = "phash-12x12, 11 windows, 1"
"""Names what `hash_picture` computes: another method, or other numbers below, another name."""

SIDE_PX = 96
"""The side of the square that is hashed."""

# What is cut off left, top, right and bottom. Between 0 and 10 % no crop is further than 2.5 % off.
_SHARES = (
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
WINDOWS = len(_SHARES)
"""The first is the whole picture."""

WORDS = 3
"""64-bit words of a hash. The first has the 8 × 8 lowest frequencies, the others the rest."""

_FREQUENCIES = 12
_LOWEST = 8
_FLAT_LEVELS = 4.0


def hash_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint64] | None:
    """The hashes of a picture's windows.

    Args:
        pixels: its greys, of shape (SIDE_PX, SIDE_PX).

    Returns:
        Of shape (WINDOWS, WORDS); None for a picture that is all but one grey, whose hash would be
        that of its noise.
    """
    if pixels.std() < _FLAT_LEVELS:
        return None
    picture = Image.fromarray(pixels)
    return np.stack([_hash_window(picture, *shares) for shares in _SHARES])


def _hash_window(
    picture: Image.Image, left: float, top: float, right: float, bottom: float
) -> NDArray[np.uint64]:
    box = (SIDE_PX * left, SIDE_PX * top, SIDE_PX * (1 - right), SIDE_PX * (1 - bottom))
    # Half the size is what phash works on: it then only copies.
    size = (SIDE_PX // 2, SIDE_PX // 2)
    window = picture.resize(size, Image.Resampling.BILINEAR, box)
    signs = imagehash.phash(window, _FREQUENCIES, size[0] // _FREQUENCIES).hash
    bits = np.zeros(WORDS * 64, bool)
    bits[:64] = signs[:_LOWEST, :_LOWEST].ravel()
    rest = np.concatenate([signs[:_LOWEST, _LOWEST:].ravel(), signs[_LOWEST:].ravel()])
    bits[64 : 64 + len(rest)] = rest
    return np.packbits(bits).view(np.uint64)
