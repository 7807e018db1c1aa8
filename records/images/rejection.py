"""Rejections of images: reasons, and an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from records.text.escaping import escape_for_display

Reason = Literal[
    "empty",
    "truncated",
    "corrupt",
    "unsupported",
    "too-large",
    "too-slow",
    "unreadable",
    "no-class",
]

_MAX_DETAIL_CHARS = 240


@dataclass(frozen=True, slots=True)
class Rejection:
    """The reason why an image is not stored.

    Attributes:
        reason: `empty` (no bytes), `truncated` (bytes are missing at the end), `corrupt` (bytes are
            invalid), `unsupported` (the format or the pixel type is not supported), `too-large`
            (more pixels, bytes or memory than allowed), `too-slow` (decoding takes longer than
            allowed), `unreadable` (storage returned an error),
            `no-class` (the image belongs to no class).
        detail: the description for the user, one printable line.
    """

    reason: Reason
    detail: str


class ImageRejectedError(Exception):
    """An image is rejected. `records.images` returns a Rejection instead of this exception."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        line = escape_for_display(" ".join(detail.split()))
        self.rejection = Rejection(reason, line[:_MAX_DETAIL_CHARS])
