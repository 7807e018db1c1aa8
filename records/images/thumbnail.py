"""A stored image as a small grey square, a JPEG decoded at a fraction of its size.

libjpeg decodes at 1/2, 1/4 or 1/8 for much less than the whole image costs, and the grey of a
colour JPEG is there without its colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from records.errors import CorruptDataError
from records.format.image_options import MAX_PIXELS_LIMIT, ImageOptions
from records.images.decode import reserve_memory
from records.images.decoder_errors import rejection_from_error
from records.images.header import read_header
from records.images.normalize import decode_record_image
from records.images.sniff import open_image, sniff

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPTIONS = ImageOptions(max_pixels=MAX_PIXELS_LIMIT)


def decode_thumbnail(
    encoded: bytes,
    format: str,  # noqa: A002 the feature's own name
    width: int,
    height: int,
    channels: int,
    *,
    side_px: int,
) -> NDArray[np.uint8]:
    """An image as a record holds it, stretched to a grey square.

    Args:
        encoded: the record's `image/encoded`.
        format: its `image/format`: `jpeg`, `png` or `raw`.
        width: its `image/width`, pixels.
        height: its `image/height`, pixels.
        channels: its `image/channels`, 1 or 3.
        side_px: of the square.

    Returns:
        uint8 of shape (side_px, side_px).

    Raises:
        CorruptDataError: when it does not decode, or is not what the other features say.
    """
    if format == "jpeg" and sniff(encoded[:32]) == format:
        return _shrink_jpeg(encoded, (width, height), side_px)
    pixels = decode_record_image(encoded, format, width, height, channels)
    return _to_square(Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels), side_px)


def _shrink_jpeg(encoded: bytes, size: tuple[int, int], side_px: int) -> NDArray[np.uint8]:
    try:
        header = read_header(encoded, _OPTIONS.max_pixels)
        with reserve_memory(header, encoded, _OPTIONS, reencode=False):
            image = open_image(header.kind, encoded)
            image.draft("L", (side_px, side_px))
            square = _to_square(image, side_px)
    except Exception as error:
        rejection = rejection_from_error(error, encoded)
        raise CorruptDataError(f"image is {rejection.reason}: {rejection.detail}") from error
    if (header.width, header.height) != size:
        raise CorruptDataError(
            "image is not as large as its record says",
            expected="x".join(map(str, size)),
            got=f"{header.width}x{header.height}",
        )
    return square


def _to_square(image: Image.Image, side_px: int) -> NDArray[np.uint8]:
    # Resized before it loses its colours: no second image of the whole size.
    small = image.resize((side_px, side_px), Image.Resampling.BILINEAR)
    return np.asarray(small.convert("L"))
