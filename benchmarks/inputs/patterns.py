"""Images with a patterned square at a known place.

Only the pattern determines the class: the square has random colours, a random size and a random
place, in front of a background with plain discs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Plane = NDArray[np.float64]

SIDE_PX = 160
_SQUARE_PX = (44, 64)
_STRIPE_PX = (5, 8)
_DISCS = 3
_DISC_PX = (12, 30)
_NOISE = 6.0


def _rings(y: Plane, x: Plane) -> Plane:
    return np.asarray(np.hypot(y - y.mean(), x - x.mean()))


PATTERNS: dict[str, Callable[[Plane, Plane], tuple[Plane, ...]]] = {
    "horizontal": lambda y, _: (y,),
    "vertical": lambda _, x: (x,),
    "checks": lambda y, x: (y, x),
    "rings": lambda y, x: (_rings(y, x),),
}
"""The coordinates whose sum of stripe numbers is even in one colour, and odd in the other."""


class Box(NamedTuple):
    """The square of an image, in pixels."""

    top: int
    left: int
    side: int

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return the places of a map whose centre is in the square, (height, width)."""
        y = (np.arange(height) + 0.5) / height * SIDE_PX
        x = (np.arange(width) + 0.5) / width * SIDE_PX
        in_rows = (self.top <= y) & (y < self.top + self.side)
        in_columns = (self.left <= x) & (x < self.left + self.side)
        return np.asarray(in_rows[:, None] & in_columns)


def draw_pattern(name: str, random: np.random.Generator) -> tuple[NDArray[np.uint8], Box]:
    """Draw an image with a patterned square: uint8 (160, 160, 3), and the square."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float64)
    direction = random.uniform(0, 2 * np.pi)
    slope = (np.cos(direction) * y + np.sin(direction) * x) / SIDE_PX
    image = random.uniform(60, 190, 3) + slope[..., None] * random.uniform(-60, 60, 3)
    for _ in range(_DISCS):
        center_y, center_x = random.uniform(0, SIDE_PX, 2)
        is_disc = np.hypot(y - center_y, x - center_x) < random.uniform(*_DISC_PX)
        image[is_disc] = random.uniform(0, 255, 3)
    side = int(random.integers(*_SQUARE_PX))
    top, left = (int(place) for place in random.integers(0, SIDE_PX - side, 2))
    box = Box(top, left, side)
    stripe_px = random.uniform(*_STRIPE_PX)
    dark, light = random.uniform(0, 90, 3), random.uniform(165, 255, 3)
    inside = slice(top, top + side), slice(left, left + side)
    planes = PATTERNS[name](y[inside], x[inside])
    stripes = np.sum([plane // stripe_px for plane in planes], axis=0)
    image[inside] = np.where((stripes % 2 == 0)[..., None], dark, light)
    noisy = image + random.normal(0, _NOISE, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), box
