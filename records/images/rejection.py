"""Why an image is not stored: the reasons, and the exception that carries one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from records.text.escaping import escape_for_display

Reason = Literal[
    "empty", "truncated", "corrupt", "unsupported", "too-large", "unreadable", "no-class"
]

_MAX_DETAIL_CHARS = 240


@dataclass(frozen=True, slots=True)
class Rejection:
    """An image that is not stored.

    Args:
        reason: `empty` (no bytes), `truncated` (ends early), `corrupt` (its bytes are wrong),
            `unsupported` (a format or a kind of pixel that is not taken), `too-large` (more pixels
            or memory than allowed), `unreadable` (storage gave an error), `no-class` (in no class).
        detail: one printable line for a person.
    """

    reason: Reason
    detail: str


class ImageRejectedError(Exception):
    """Raised inside the image modules, and caught at their rim, for an image that is not taken."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        line = escape_for_display(" ".join(detail.split()))
        self.rejection = Rejection(reason, line[:_MAX_DETAIL_CHARS])
