"""Limits of a server on uploads, images, and images that wait."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from records.arguments import Positive
from records.format.image_options import MAX_PIXELS_LIMIT

MAX_UPLOAD_MB = 20.0
UPLOAD_SECONDS = 30.0
MAX_QUEUE = 128
"""The default limits."""

MaxPixels: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MAX_PIXELS_LIMIT)]
_Amount: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]

_UPLOADS_IN_MEMORY = 16


class Limits(msgspec.Struct, frozen=True):
    """The limits of a server.

    Attributes:
        max_upload_mb: the maximum size of the body of a request, in MB.
        upload_seconds: the time in which the body of a request must arrive, in seconds.
        max_queue: the maximum number of images that wait for their predictions.
        max_pixels: the maximum number of pixels of an image; None means that of the dataset.
    """

    max_upload_mb: _Amount = MAX_UPLOAD_MB
    upload_seconds: _Amount = UPLOAD_SECONDS
    max_queue: Positive = MAX_QUEUE
    max_pixels: MaxPixels | None = None

    @property
    def max_upload_bytes(self) -> int:
        """Return the maximum size of the body of a request."""
        return round(self.max_upload_mb * 1_000_000)

    @property
    def max_held_bytes(self) -> int:
        """Return the maximum size of all bodies that are in memory at the same time."""
        return _UPLOADS_IN_MEMORY * self.max_upload_bytes
