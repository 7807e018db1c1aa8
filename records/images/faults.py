"""Which reason an error stands for that was raised while an image was read."""

from __future__ import annotations

import re

from records.images.formats import sniff
from records.images.rejections import RefusedError, Rejection
from records.images.truncation import ends_early

_UNSUPPORTED = re.compile(
    r"unsupported|unknown pixel mode|not supported|cannot handle|unknown data organization"
    r"|unknown compression",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(r"decompressed data too large|decompression bomb", re.IGNORECASE)


def explain_error(error: Exception, data: bytes) -> Rejection:
    """The rejection of the image `data`, reading which ended in `error`."""
    if isinstance(error, RefusedError):
        return error.rejection
    if isinstance(error, MemoryError):
        return RefusedError("too-large", "no memory left to decode it").rejection
    text = str(error) or type(error).__name__
    if _TOO_LARGE.search(text):
        return RefusedError("too-large", text).rejection
    if _UNSUPPORTED.search(text):
        return RefusedError("unsupported", text).rejection
    kind = sniff(data[:4096])
    if kind and ends_early(kind, data):
        return RefusedError("truncated", f"{kind} file ends early").rejection
    return RefusedError("corrupt", f"{kind}: {text}").rejection
