"""Pictures for the documentation's commands: flowers drawn from a seed.

`photos/daisy`, `photos/rose` and `photos/sunflower` hold 40 each, `new/` three that are in no
class folder, as JPEG and PNG. They differ in size, light and position as photos do; the color
distinguishes the classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PETAL_COLORS = {"daisy": (245, 245, 250), "rose": (200, 30, 60), "sunflower": (250, 190, 20)}
_IMAGES_A_CLASS = 40


def write_photos(folder: Path) -> None:
    """Write `photos/CLASS/0001.jpg` … and `new/1.jpg` … below `folder`."""
    random = np.random.default_rng(0)
    for name, color in PETAL_COLORS.items():
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(_IMAGES_A_CLASS):
            suffix = "png" if number % 8 == 7 else "jpg"
            path = folder / "photos" / name / f"{number + 1:04}.{suffix}"
            Image.fromarray(draw_flower(random, color)).save(path)
    (folder / "new").mkdir()
    for number, color in enumerate(PETAL_COLORS.values(), 1):
        Image.fromarray(draw_flower(random, color)).save(folder / "new" / f"{number}.jpg")


def draw_flower(random: np.random.Generator, color: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Draw one flower on a lawn: uint8, height × width × 3, sides of 96 to 160 px."""
    height_px, width_px = random.integers(96, 161, 2)
    y, x = np.mgrid[:height_px, :width_px]
    center_y, center_x = random.uniform(0.35, 0.65, 2) * (height_px, width_px)
    radius = np.hypot(y - center_y, x - center_x)
    angle = np.arctan2(y - center_y, x - center_x)
    reach_px = random.uniform(0.25, 0.42) * min(height_px, width_px)
    petals = radius < reach_px * (0.75 + 0.25 * np.cos(random.integers(5, 13) * angle))
    image = np.empty((height_px, width_px, 3))
    image[:] = random.uniform((30, 80, 20), (90, 150, 80))
    image[petals] = color
    image[radius < reach_px * 0.3] = random.uniform((90, 60, 10), (160, 110, 40))
    light = random.uniform(0.7, 1.1) * np.linspace(1, random.uniform(0.7, 1), width_px)
    noise = random.normal(0, 8, image.shape)
    return np.clip(image * light[None, :, None] + noise, 0, 255).astype(np.uint8)
