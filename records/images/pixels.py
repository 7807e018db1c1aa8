"""Conversion of decoded images: orientation, alpha, bit depth, size.

The functions process loaded Pillow images. No function keeps a second copy of an image longer than
necessary: an image of 100 million pixels takes 400 MB of memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from records.images.rejection import ImageRejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_TRANSPOSED = 5
_JPEG_SCALES = (8, 4, 2)
STRIP_PX = 1 << 20
_EIGHT_BITS = 8
_FILTER = Image.Resampling.BILINEAR
_GREY_MODES = {"1", "L", "LA", "I;16", "I;16L", "I;16B"}
_ALPHA_MODES = {"LA", "PA", "RGBA"}
_NAMES = {"CMYK": "cmyk→rgb", "P": "palette→rgb", "PA": "palette→rgb"}
_UNSUPPORTED_MODES = {
    "F": "floating-point samples",
    "I": "32-bit or signed samples",
    "LAB": "CIE L*a*b* colours",
}


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return the image, rotated or flipped so that it is upright."""
    method = _TURNS.get(orientation)
    return image if method is None else image.transpose(method)


def swaps_sides(orientation: int) -> bool:
    """Return whether `turn_upright` exchanges width and height."""
    return orientation >= _FIRST_TRANSPOSED


def turn_box(box: Box, size: tuple[int, int], orientation: int) -> Box:
    """Return where a box of an image of `size` (width, height) is after `turn_upright`."""
    (left, top, right, bottom), (width, height) = box, size
    if swaps_sides(orientation):
        left, top, right, bottom, width, height = top, left, bottom, right, height, width
    if orientation in {2, 3, 6, 7}:
        left, right = width - right, width - left
    if orientation in {3, 4, 7, 8}:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def require_mode(image: Image.Image) -> None:
    """Check that the samples of an image can be converted to 8-bit grey or RGB.

    Raises:
        ImageRejectedError: `unsupported` if the samples cannot be converted.
    """
    if image.mode in _UNSUPPORTED_MODES:
        kind = _UNSUPPORTED_MODES[image.mode]
        raise ImageRejectedError("unsupported", f"{kind} are not taken")


def drop_empty_alpha(image: Image.Image) -> Image.Image:
    """Return an image whose fourth channel is zero everywhere without it: it is padding."""
    if image.mode == "RGBA" and image.getchannel("A").getbbox() is None:
        return image.convert("RGB")
    return image


def flatten(
    image: Image.Image, background: Colour, sample_bits: int
) -> tuple[Image.Image, list[str]]:
    """Convert an image to an opaque image in mode `L` or `RGB`.

    Args:
        image: an image of any mode that `require_mode` accepts.
        background: the colour that shows through transparent pixels.
        sample_bits: the number of bits per sample in the file; low bits are dropped to reach 8.

    Returns:
        The image, and the names of the changes.
    """
    changes = [f"{sample_bits}→8-bit"] if sample_bits > _EIGHT_BITS else []
    transparent = image.mode in _ALPHA_MODES or "transparency" in image.info
    grey = image.mode in _GREY_MODES
    if grey and transparent and len(set(background)) > 1:
        grey = False
    target: Literal["L", "RGB"] = "L" if grey else "RGB"
    if image.mode in _NAMES:
        changes.append(_NAMES[image.mode])
    if transparent:
        changes.append(f"alpha→{'grey' if grey else 'rgb'}")
        visible: list[bool] = []
        flat = _in_strips(
            image, target, lambda strip: _composite(strip, target, background, sample_bits, visible)
        )
        return flat, changes if any(visible) else [*changes, "fully-transparent"]
    if image.mode.startswith("I;16"):
        return _in_strips(image, "L", lambda strip: _to_8_bits(strip, sample_bits)), changes
    return image if image.mode == target else image.convert(target), changes


def to_channels(image: Image.Image, channels: int, *, exact: bool) -> tuple[Image.Image, list[str]]:
    """Convert RGB to grey if `channels` is 1, and grey to RGB if `channels` is 3 and `exact`."""
    if channels == 1 and image.mode == "RGB":
        return image.convert("L"), ["rgb→grey"]
    if channels > 1 and exact and image.mode == "L":
        return image.convert("RGB"), ["grey→rgb"]
    return image, []


def choose_jpeg_scale(source: tuple[int, int], size: tuple[int, int], fit: str) -> int:
    """Return the divisor at which to decode a JPEG of `source` px before it is resized to `size`.

    libjpeg decodes at 1/2, 1/4 and 1/8 in a fraction of the time. The divisor is the largest of 1,
    2, 4 and 8 that leaves twice the width and the height that the picture has in the result, so
    that the filter still decides how the result looks.
    """
    width, height = _fit_inside(source, size) if fit == "pad" else size
    largest = min(source[0] // (2 * width), source[1] // (2 * height))
    return next((scale for scale in _JPEG_SCALES if scale <= largest), 1)


def resize(
    image: Image.Image,
    size: tuple[int, int],
    fit: str,
    background: Colour,
    *,
    area: Box | None = None,
) -> tuple[Image.Image, list[str]]:
    """Resize to `size` (width, height in px) with the antialiased bilinear filter of Pillow.

    Args:
        image: the image.
        size: the width and height of the result in pixels.
        fit: `stretch`, `crop` or `pad`.
        background: the colour around a padded picture.
        area: the part of the image that is the picture, if a JPEG was decoded at a scale that
            divides its sides with a remainder; by default all of the image.
    """
    if image.size == size:
        return image, []
    if area is None:
        area = whole_box(*image.size)
    if fit == "crop":
        return _scale(image, size, _center_box(area, size)), ["resized"]
    if fit == "pad":
        return _pad(image, area, size, background), ["resized"]
    return _scale(image, size, area), ["resized"]


def whole_box(width: float, height: float) -> Box:
    """Return the box of a picture of this size: left, top, right, bottom."""
    return 0.0, 0.0, float(width), float(height)


def _scale(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    """Resize horizontally, then vertically, like Pillow.

    If the intermediate image would be larger than both source and result, resize vertically first.
    """
    intermediate_px = size[0] * image.height
    if intermediate_px > max(image.width * image.height, size[0] * size[1]):
        image = image.resize((image.width, size[1]), _FILTER, (0, box[1], image.width, box[3]))
        box = (box[0], 0, box[2], size[1])
    return image.resize(size, _FILTER, box)


def _center_box(area: Box, size: tuple[int, int]) -> Box:
    """Return the largest centered box in `area` with the aspect ratio of `size`."""
    left, top, right, bottom = area
    scale = min((right - left) / size[0], (bottom - top) / size[1])
    width, height = size[0] * scale, size[1] * scale
    x, y = left + (right - left - width) / 2, top + (bottom - top - height) / 2
    return max(left, x), max(top, y), min(right, x + width), min(bottom, y + height)


def _fit_inside(source: tuple[float, float], size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size inside `size` with the aspect ratio of `source`."""
    scale = min(size[0] / source[0], size[1] / source[1])
    return (
        min(size[0], max(1, round(source[0] * scale))),
        min(size[1], max(1, round(source[1] * scale))),
    )


def _pad(image: Image.Image, area: Box, size: tuple[int, int], background: Colour) -> Image.Image:
    left, top, right, bottom = area
    inner = _fit_inside((right - left, bottom - top), size)
    scaled = _scale(image, inner, area)
    if inner == size:
        return scaled
    if scaled.mode == "L" and len(set(background)) > 1:
        scaled = scaled.convert("RGB")
    canvas = _canvas(scaled.mode, size, background)
    canvas.paste(scaled, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return canvas


def _canvas(mode: str, size: tuple[int, int], background: Colour) -> Image.Image:
    return Image.new(mode, size, background[0] if mode == "L" else background)


def _in_strips(
    image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Convert some rows at a time, so that intermediate images stay small."""
    rows = max(1, STRIP_PX // image.width)
    if rows >= image.height:
        return convert(image)
    result = Image.new(mode, image.size)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        result.paste(convert(image.crop(box)), box)
    return result


def _to_8_bits(strip: Image.Image, sample_bits: int) -> Image.Image:
    samples = np.asarray(strip).astype(np.uint16) >> max(0, sample_bits - _EIGHT_BITS)
    return Image.fromarray(samples.astype(np.uint8))


def _composite(
    strip: Image.Image, target: str, background: Colour, sample_bits: int, visible: list[bool]
) -> Image.Image:
    """Blend a strip with the background; append to `visible` whether any pixel shows."""
    colours, opacity = _split_alpha(strip, sample_bits)
    visible.append(opacity.getbbox() is not None)
    canvas = _canvas(target, strip.size, background)
    canvas.paste(colours.convert(target), mask=opacity)
    return canvas


def _split_alpha(strip: Image.Image, sample_bits: int) -> tuple[Image.Image, Image.Image]:
    """Return the colours of a strip, and its alpha channel as an image in mode `L`."""
    if strip.mode in {"P", "PA"}:
        strip = strip.convert("RGBA")
    if strip.mode in _ALPHA_MODES:
        return strip.convert("L" if strip.mode == "LA" else "RGB"), strip.getchannel("A")
    samples = np.asarray(strip)
    key = np.asarray(strip.info["transparency"])
    differs = (samples.reshape(*samples.shape[:2], -1) != key).any(axis=2)
    opacity = Image.fromarray(np.where(differs, 255, 0).astype(np.uint8))
    if strip.mode.startswith("I;16"):
        strip = _to_8_bits(strip, sample_bits)
    return strip, opacity
