"""The one place that opens images: what is stored of a file, or why it is not."""

from records.images.encoding import encoder_versions
from records.images.formats import IMAGE_EXTENSIONS, sniff
from records.images.options import ImageOptions
from records.images.rejections import Reason, Rejection
from records.images.store import StoredImage, decode_pixels, decode_stored, store_image

__all__ = [
    "IMAGE_EXTENSIONS",
    "ImageOptions",
    "Reason",
    "Rejection",
    "StoredImage",
    "decode_pixels",
    "decode_stored",
    "encoder_versions",
    "sniff",
    "store_image",
]
