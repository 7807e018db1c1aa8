"""Decoding, checking and normalizing of image files.

No other package opens image files.
"""

from records.format.image_options import ImageOptions
from records.images.encode import encode_samples, encoder_versions
from records.images.formats import IMAGE_EXTENSIONS, sniff
from records.images.normalize import (
    NormalizedImage,
    decode_pixels,
    decode_record_image,
    normalize_image,
)
from records.images.rejection import Reason, Rejection

__all__ = [
    "IMAGE_EXTENSIONS",
    "ImageOptions",
    "NormalizedImage",
    "Reason",
    "Rejection",
    "decode_pixels",
    "decode_record_image",
    "encode_samples",
    "encoder_versions",
    "normalize_image",
    "sniff",
]
