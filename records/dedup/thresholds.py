"""Maximum Hamming distances between two near-duplicates.

Two images are near if the full hash of one image and a window hash of the other differ in at most
`MAX_DISTANCE` of all 144 bits, and in at most `MAX_DISTANCE_FIRST_WORD` of the first 64 bits. The
limit for small images is lower: they lack the detail that distinguishes two digits, or two icons of
the same shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DISTANCE = 28
MAX_DISTANCE_SMALL = 10
MAX_DISTANCE_FIRST_WORD = 8

_SMALL_PX = 64


def max_distances(width: NDArray[np.int32], height: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the maximum distance, in bits, from each image to a near-duplicate.

    The distance depends on the shorter side of the image. The result has the shape (N,).

    Args:
        width: the widths in pixels, of shape (N,).
        height: the heights in pixels, of shape (N,).
    """
    is_small = np.minimum(width, height) < _SMALL_PX
    return np.where(is_small, MAX_DISTANCE_SMALL, MAX_DISTANCE).astype(np.uint8)
