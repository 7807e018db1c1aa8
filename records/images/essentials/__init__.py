"""Image files reduced to what determines the pixels of the first image.

Metadata is read here, with limits, before an image library opens the bytes.
"""

from records.images.essentials.base import Essentials
from records.images.essentials.orientation import find_orientation
from records.images.essentials.reduce import reduce_file
from records.images.essentials.tiff import read_tiff_size

__all__ = ["Essentials", "find_orientation", "read_tiff_size", "reduce_file"]
