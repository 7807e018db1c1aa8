"""The picture in a TIFF file: its page, and its samples."""

from records.images.tiff.pages import CAMERA_RAW, begin_with_picture
from records.images.tiff.samples import TiffPicture

__all__ = ["CAMERA_RAW", "TiffPicture", "begin_with_picture"]
