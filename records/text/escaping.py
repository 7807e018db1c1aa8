"""Escaping of untrusted names for terminals, logs and plots."""

from __future__ import annotations

import unicodedata

_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


def escape_for_display(text: str) -> str:
    """Return text with control and invisible characters escaped as in Python."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in _INVISIBLE else char for char in text
    )
