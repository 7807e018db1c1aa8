"""Measurements of the pixels of one image: brightness, contrast, sharpness, colour, borders.

All measurements use the image reduced to at most 512×512 pixels. Brightness is the luma of ITU-R
BT.601, from 0 to 255.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

SIDE_PX = 512
_BLUR_PX = 11
_LEAST_SIDE_PX = 16
_LEAST_CONTRAST = 8
_PERCENTILES = (1, 5, 95, 99)
_BORDER_TOLERANCE = 12.0
_BORDER_NOISE = 0.02
_EDGE_PX = 4
_STRAIGHT_EDGE = 0.6


class PixelScores(NamedTuple):
    """Measurements of an image.

    Attributes:
        dark: the 95th percentile of the brightness, 0 to 255: an image below is dark nearly
            everywhere.
        bright: the 5th percentile of the brightness, 0 to 255.
        contrast: the difference of the 99th and the 1st percentile of the brightness, 0 to 255.
        blur: the blur effect of Crété-Roffet et al. (2007), 0 (sharp) to 1; NaN if the image is too
            small or nearly uniform.
        detail: the part of the differences of neighbouring pixels that is lost if the image is
            halved and enlarged again, 0 to 1; NaN as for `blur`.
        chroma: the mean difference of the greatest and the least of red, green and blue, 0 to 255.
        border: the fraction of the area that borders of one colour take, 0 to 1.
    """

    dark: float
    bright: float
    contrast: float
    blur: float
    detail: float
    chroma: float
    border: float


def reduce_image(image: Image.Image) -> Image.Image:
    """Return an image that fits into 512×512 pixels; smaller images are not enlarged."""
    from PIL import Image

    image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BOX, reducing_gap=None)
    return image


def score_pixels(image: Image.Image) -> PixelScores:
    """Return the measurements of an RGB or grey image, which is at most 512×512 pixels large."""
    picture = image.convert("L")
    grey = np.asarray(picture, np.float32)
    lowest, low, high, highest = _percentiles(picture.histogram())
    has_structure = min(grey.shape) >= _LEAST_SIDE_PX and highest - lowest >= _LEAST_CONTRAST
    return PixelScores(
        dark=high,
        bright=low,
        contrast=highest - lowest,
        blur=_measure_blur(grey) if has_structure else float("nan"),
        detail=_measure_detail(picture, grey) if has_structure else float("nan"),
        chroma=_measure_chroma(image),
        border=_measure_border(grey),
    )


def _percentiles(histogram: list[int]) -> list[float]:
    shares = np.cumsum(histogram) / sum(histogram)
    return [float(np.searchsorted(shares, percent / 100)) for percent in _PERCENTILES]


def _measure_blur(grey: NDArray[np.float32]) -> float:
    """Return the blur effect of a grey image.

    A sharp image loses much of the differences of neighbouring pixels if it is blurred again, and a
    blurred image loses little. Source: F. Crété-Roffet, T. Dolmiere, P. Ladret, M. Nicolas, "The
    Blur Effect: Perception and Estimation with a New No-Reference Perceptual Blur Metric", 2007.
    """
    return max(_blur_along(grey), _blur_along(grey.T))


def _blur_along(grey: NDArray[np.float32]) -> float:
    blurred = _box_blur(grey)
    inner = slice(_BLUR_PX // 2, grey.shape[0] - _BLUR_PX // 2)
    sharp = np.abs(np.diff(grey[inner], axis=0))
    total = float(sharp.sum())
    lost = np.maximum(sharp - np.abs(np.diff(blurred, axis=0)), 0)
    return 1.0 if total == 0 else 1 - float(lost.sum()) / total


def _box_blur(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of `_BLUR_PX` vertical neighbours, without the rows at the edges."""
    sums = np.cumsum(np.pad(grey, ((1, 0), (0, 0))), axis=0)
    return (sums[_BLUR_PX:] - sums[:-_BLUR_PX]) / np.float32(_BLUR_PX)


def _measure_detail(picture: Image.Image, grey: NDArray[np.float32]) -> float:
    from PIL import Image

    half = (max(1, picture.width // 2), max(1, picture.height // 2))
    small = picture.resize(half, Image.Resampling.BICUBIC)
    enlarged = np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC), np.float32)
    change = float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())
    return min(1.0, 2 * float(np.abs(grey - enlarged).mean()) / change) if change else 0.0


def _measure_chroma(image: Image.Image) -> float:
    if image.mode == "L":
        return 0.0
    red, green, blue = map(np.asarray, image.split())
    greatest = np.maximum(np.maximum(red, green), blue)
    return float((greatest - np.minimum(np.minimum(red, green), blue)).mean())


def _measure_border(grey: NDArray[np.float32]) -> float:
    """Return the fraction of the area outside the rectangle that has no border."""
    rows, columns = _without_border(grey), _without_border(grey.T)
    return 1 - rows * columns / grey.size


def _without_border(grey: NDArray[np.float32]) -> int:
    """Return the number of rows without the borders at the top and at the bottom.

    A border is a number of rows of one colour that ends at a straight edge: the next rows differ
    from it nearly everywhere. A plain background ends at an outline.
    """
    return len(grey) - _border_rows(grey) - _border_rows(grey[::-1])


def _border_rows(grey: NDArray[np.float32]) -> int:
    colour = np.median(grey[0])
    differs = np.abs(grey - colour) > _BORDER_TOLERANCE
    other = np.flatnonzero(differs.mean(axis=1) > _BORDER_NOISE)
    if not len(other) or not other[0]:
        return 0
    # The edge may be blurred by the reduction and by the compression.
    edge = differs[other[0] : other[0] + _EDGE_PX].any(axis=0)
    return int(other[0]) if edge.mean() > _STRAIGHT_EDGE else 0
