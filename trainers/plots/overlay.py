"""Images with a class activation map in color."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPACITY = 0.55


def overlay_activation(
    pixels: NDArray[np.uint8], activation: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return an image as grey, with the places of high activation in color.

    Args:
        pixels: uint8 (height, width, channels), with 1 or 3 channels.
        activation: float32 (height, width), 0 to 1.

    Returns:
        uint8 (height, width, 3).
    """
    from matplotlib import colormaps

    grey = np.repeat(pixels.mean(axis=-1, keepdims=True), 3, axis=-1)
    color = colormaps["inferno"](activation)[..., :3] * 255
    # Places without activation stay grey.
    opacity = _OPACITY * activation[..., None]
    return np.asarray(np.rint(grey * (1 - opacity) + color * opacity), np.uint8)
