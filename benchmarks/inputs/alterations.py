"""Alterations of images: other sizes, other encodings, cropped edges."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image, ImageEnhance

if TYPE_CHECKING:
    from collections.abc import Callable


def encode(image: Image.Image, kind: str = "JPEG", quality: int = 85) -> bytes:
    """Return an image as the bytes of a file; PNG files ignore `quality`."""
    content = io.BytesIO()
    options = {} if kind == "PNG" else {"quality": quality}
    image.save(content, kind, **options)
    return content.getvalue()


def resize(image: Image.Image, percent: int) -> bytes:
    """Return a JPEG file of the image with both sides scaled to `percent` of their length."""
    width, height = (max(1, side * percent // 100) for side in image.size)
    return encode(image.resize((width, height), Image.Resampling.BICUBIC))


def crop(image: Image.Image, percent: int, sides: str) -> bytes:
    """Return a JPEG file; crop `percent` of the width or height at each of `sides` (l, t, r, b)."""
    left, top, right, bottom = (percent / 100 * (side in sides) for side in "ltrb")
    width, height = image.size
    near = round(width * left), round(height * top)
    far = round(width * (1 - right)), round(height * (1 - bottom))
    return encode(image.crop((*near, *far)))


def _crops() -> dict[str, Callable[[Image.Image], bytes]]:
    named = {"left": "l", "top": "t", "right": "r", "bottom": "b"}
    named |= {"left and top": "lt", "top and bottom": "tb", "all sides": "ltrb"}
    return {
        f"cropped by {percent} %, {name}": partial(crop, percent=percent, sides=sides)
        for percent in (2, 3, 5, 7, 10)
        for name, sides in named.items()
    }


ALTERATIONS: dict[str, Callable[[Image.Image], bytes]] = {
    "resized to 50 %": lambda image: resize(image, 50),
    "resized to 150 %": lambda image: resize(image, 150),
    "JPEG, quality 50": lambda image: encode(image, quality=50),
    "JPEG, quality 80": lambda image: encode(image, quality=80),
    "PNG": lambda image: encode(image, "PNG"),
    "WebP, quality 75": lambda image: encode(image, "WEBP", 75),
    "15 % brighter": lambda image: encode(ImageEnhance.Brightness(image).enhance(1.15)),
    "grey": lambda image: encode(image.convert("L")),
    **_crops(),
}
"""Functions that return the bytes of an altered RGB image, by the name of the alteration."""
