"""The result of a reduction."""

from __future__ import annotations

from typing import NamedTuple

from records.images.essentials.orientation import UPRIGHT


class Essentials(NamedTuple):
    """An image file without the parts that do not determine the pixels of its first image.

    Attributes:
        data: a file of the same format, with the same first image.
        orientation: the orientation of the first image, 1 (upright) to 8, which `data` lacks.
        is_animated: whether the file contains several images, of which `data` has the first.
        is_costly: whether the metadata would cost a reader without limits far more than its size.
    """

    data: bytes
    orientation: int = UPRIGHT
    is_animated: bool = False
    is_costly: bool = False
