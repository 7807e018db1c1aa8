"""Defects of images: dark, blurry, enlarged and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Callable


def _enlarge(image: Image.Image) -> Image.Image:
    small = image.resize((image.width // 4, image.height // 4), Image.Resampling.LANCZOS)
    return small.resize(image.size, Image.Resampling.BICUBIC)


def _frame(image: Image.Image) -> Image.Image:
    """Return the image between black borders at the left and at the right, as on a wide screen."""
    border = image.width // 10
    framed = Image.new("RGB", image.size)
    framed.paste(image.resize((image.width - 2 * border, image.height)), (border, 0))
    return framed


def _cut(image: Image.Image) -> Image.Image:
    """Return a strip from the middle that is six times as wide as high."""
    height = image.width // 6
    top = (image.height - height) // 2
    return image.crop((0, top, image.width, top + height))


DEFECTS: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "a fifth of the brightness": ("dark", lambda image: image.point(lambda value: value // 5)),
    "a fifth of the darkness": (
        "bright",
        lambda image: image.point(lambda value: 255 - (255 - value) // 5),
    ),
    "an eighth of the contrast": (
        "low-contrast",
        lambda image: image.point(lambda value: 112 + value // 8),
    ),
    "Gaussian blur, radius 2": ("blurry", lambda it: it.filter(ImageFilter.GaussianBlur(2))),
    "Gaussian blur, radius 4": ("blurry", lambda it: it.filter(ImageFilter.GaussianBlur(4))),
    "reduced to a quarter, and enlarged again": ("enlarged", _enlarge),
    "without colours": ("grey", lambda image: image.convert("L").convert("RGB")),
    "black borders at two sides, a fifth of the area": ("border", _frame),
    "reduced to a fifth of the sides": (
        "odd-size",
        lambda image: image.resize((image.width // 5, image.height // 5)),
    ),
    "a strip, six times as wide as high": ("odd-aspect-ratio", _cut),
}
"""The issue, and the function that returns an altered RGB image, by the name of the defect."""
