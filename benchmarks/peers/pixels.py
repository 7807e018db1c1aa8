"""Decoding with simplejpeg and OpenCV, for all peers in Python.

bytes   the stored file
whole   the whole image, resized to 224×224
crops   a random crop of at least 8 % of the area, resized to 224×224; half of them are flipped
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import simplejpeg

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE_PX = 224
LEAST_AREA = 0.08
ASPECT_RATIOS = (3 / 4, 4 / 3)
_ATTEMPTS = 10

cv2.setNumThreads(0)  # The readers have separate threads or processes.


def reader_of(mode: str) -> Callable[[bytes], Any]:
    """Return the function that makes an element of a batch from the bytes of a JPEG file."""
    return {"bytes": bytes, "whole": read_whole, "crops": read_crop}[mode]


def read_whole(encoded: bytes) -> np.ndarray:
    """Return the whole image, uint8 (224, 224, 3)."""
    return _resize(decode(encoded))


def read_crop(encoded: bytes) -> np.ndarray:
    """Return a random crop, uint8 (224, 224, 3)."""
    pixels = decode(encoded)
    top, left, height, width = draw_window(*pixels.shape[:2])
    small = _resize(pixels[top : top + height, left : left + width])
    return np.ascontiguousarray(small[:, ::-1]) if random.random() < 0.5 else small


def decode(encoded: bytes) -> np.ndarray:
    """Return the pixels of a JPEG file, uint8 (height, width, 3)."""
    return simplejpeg.decode_jpeg(encoded, colorspace="RGB", strict=False)


def draw_window(height: int, width: int) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a crop, drawn as by `RandomResizedCrop`."""
    for _ in range(_ATTEMPTS):
        area = height * width * random.uniform(LEAST_AREA, 1)
        ratio = math.exp(random.uniform(*map(math.log, ASPECT_RATIOS)))
        high, wide = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < high <= height and 0 < wide <= width:
            return random.randint(0, height - high), random.randint(0, width - wide), high, wide
    return 0, 0, height, width


def _resize(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)
