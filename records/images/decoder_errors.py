"""Translation of decoder errors to rejections."""

from __future__ import annotations

import re

from records.errors import CorruptDataError
from records.images.essentials.truncation import is_truncated
from records.images.formats import sniff
from records.images.rejection import ImageRejectedError, Rejection

_UNSUPPORTED = re.compile(
    r"unsupported|unknown pixel mode|not supported|cannot handle|unknown data organization"
    r"|unknown compression",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(r"decompressed data too large|decompression bomb", re.IGNORECASE)


def rejection_from_error(error: Exception, data: bytes) -> Rejection:
    """Return the rejection of an image file, `data`, after reading it raised `error`."""
    if isinstance(error, ImageRejectedError):
        return error.rejection
    if isinstance(error, MemoryError):
        return ImageRejectedError("too-large", "not enough memory to decode the image").rejection
    text = str(error) or type(error).__name__
    if _TOO_LARGE.search(text):
        return ImageRejectedError("too-large", text).rejection
    if _UNSUPPORTED.search(text):
        return ImageRejectedError("unsupported", text).rejection
    kind = sniff(data[:4096])
    if kind and is_truncated(kind, data):
        return ImageRejectedError("truncated", f"{kind} file ends early").rejection
    return ImageRejectedError("corrupt", f"{kind}: {text}").rejection


def corrupt_image_error(error: Exception, data: bytes) -> CorruptDataError:
    """Return the error to raise for a stored image, `data`, after reading it raised `error`."""
    rejection = rejection_from_error(error, data)
    return CorruptDataError(f"image is {rejection.reason}: {rejection.detail}")
