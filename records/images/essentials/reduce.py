"""The reduction of any image file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.images.essentials import bmp, gif, iso_media, jpeg, png, tiff, webp
from records.images.essentials.base import Essentials

if TYPE_CHECKING:
    from collections.abc import Callable

_REDUCERS: dict[str, Callable[[bytes], Essentials]] = {
    "jpeg": jpeg.reduce,
    "png": png.reduce,
    "gif": gif.reduce,
    "bmp": bmp.reduce,
    "webp": webp.reduce,
    "tiff": tiff.reduce,
    "avif": iso_media.reduce,
    "heif": iso_media.reduce,
}


def reduce_file(kind: str, data: bytes) -> Essentials:
    """Return the parts of an image file that determine the pixels of its first image.

    Time is linear in the size of the file; memory is the size of the result and a few megabytes.

    Args:
        kind: the format, as `sniff` returns it. A format that is not supported is returned
            unchanged.
        data: the complete file.

    Raises:
        ImageRejectedError: the file is truncated, or exceeds a limit.
        ValueError, IndexError, struct.error: the file is corrupt.
    """
    reducer = _REDUCERS.get(kind)
    return Essentials(data) if reducer is None else reducer(data)
