"""Small versions of images: for hashes and measurements, and tiles for pictures.

A JPEG is decoded at 1/2, 1/4 or 1/8 of its size, which takes libjpeg much less time than the full
size. The luma of a colour JPEG is the grey image, so the chroma is not decoded.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from records.errors import CorruptDataError
from records.format.image_options import MAX_PIXELS_LIMIT, ImageOptions
from records.images.decode import decode_reduced_jpeg, reserve_memory
from records.images.decoder_errors import corrupt_image_error
from records.images.formats import sniff
from records.images.header import read_header
from records.images.normalize import decode_record_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_OPTIONS = ImageOptions(max_pixels=MAX_PIXELS_LIMIT)


def decode_thumbnail(
    encoded: bytes,
    format: str,  # noqa: A002 the name of the feature
    width: int,
    height: int,
    channels: int,
    *,
    side_px: int,
) -> NDArray[np.uint8]:
    """Decode the image of a record to a grey square; the aspect ratio is lost.

    Args:
        encoded: the value of `image/encoded`.
        format: the value of `image/format`: `jpeg`, `png` or `raw`.
        width: the value of `image/width`, in pixels.
        height: the value of `image/height`, in pixels.
        channels: the value of `image/channels`, 1 or 3.
        side_px: the side of the square, in pixels.

    Returns:
        An array of uint8 with shape (side_px, side_px).

    Raises:
        CorruptDataError: the image cannot be decoded, or contradicts the other features.
    """
    size = width, height, channels
    # Resize before the conversion to grey, so that no second image of full size is allocated.
    small = decode_reduced(
        encoded, format, *size, mode="L", side_px=side_px, shrink=partial(_to_square, side_px)
    )
    return np.asarray(small.convert("L"))


def decode_reduced(
    encoded: bytes,
    format: str,  # noqa: A002 the name of the feature
    width: int,
    height: int,
    channels: int,
    *,
    mode: Literal["L", "RGB"],
    side_px: int,
    shrink: Callable[[Image.Image], Image.Image],
) -> Image.Image:
    """Decode the image of a record, a JPEG at a reduced size, and shrink it.

    Args:
        encoded: the value of `image/encoded`.
        format: the value of `image/format`: `jpeg`, `png` or `raw`.
        width: the value of `image/width`, in pixels.
        height: the value of `image/height`, in pixels.
        channels: the value of `image/channels`, 1 or 3.
        mode: `L` to decode only the luma of a JPEG; all other images keep their mode, L or RGB.
        side_px: the least width and height of a reduced JPEG, in pixels.
        shrink: a function that returns a smaller image.

    Raises:
        CorruptDataError: the image cannot be decoded, or contradicts the other features.
    """
    if format == "jpeg" and sniff(encoded[:32]) == format:
        return _reduce_jpeg(encoded, (width, height), mode, side_px, shrink)
    pixels = decode_record_image(encoded, format, width, height, channels)
    return shrink(Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels))


def _reduce_jpeg(
    encoded: bytes,
    size: tuple[int, int],
    mode: Literal["L", "RGB"],
    side_px: int,
    shrink: Callable[[Image.Image], Image.Image],
) -> Image.Image:
    # Without chroma, the image needs little memory at any scale.
    reencode = mode == "RGB"
    try:
        header = read_header(encoded, _OPTIONS.max_pixels)
        with reserve_memory(header, encoded, _OPTIONS, reencode=reencode):
            small = shrink(decode_reduced_jpeg(header, encoded, mode, side_px))
    except Exception as error:
        raise corrupt_image_error(error, encoded) from error
    if (header.width, header.height) != size:
        raise CorruptDataError(
            "the size of an image differs from the size in its record",
            expected="x".join(map(str, size)),
            got=f"{header.width}x{header.height}",
        )
    return small


def _to_square(side_px: int, image: Image.Image) -> Image.Image:
    return image.resize((side_px, side_px), Image.Resampling.BILINEAR)


def fit_square(pixels: NDArray[np.uint8], side_px: int) -> Image.Image:
    """Return an RGB image that fits into a square; a small image is enlarged by an integer factor.

    Args:
        pixels: an array of uint8 with shape (height, width, channels), channels 1 or 3.
        side_px: the side of the square, in pixels.
    """
    return fit_image(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), side_px)


def fit_image(image: Image.Image, side_px: int) -> Image.Image:
    """Return an RGB image that fits into a square; see `fit_square`.

    Args:
        image: an image, which may be changed.
        side_px: the side of the square, in pixels.
    """
    image = image.convert("RGB")
    factor = side_px // max(image.size)
    if factor < 2:
        image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        return image
    size = (image.width * factor, image.height * factor)
    return image.resize(size, Image.Resampling.NEAREST)
