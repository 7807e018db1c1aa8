"""Names that must not command a terminal, a log or a plot."""

from __future__ import annotations

import unicodedata

_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


def escape_for_display(text: str) -> str:
    """`text` safe for a terminal, a log and a plot: control characters and the like escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in _INVISIBLE else char for char in text
    )
