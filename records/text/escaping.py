"""Names that must not command a terminal, a log or a plot."""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit, urlunsplit

_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


def escape_for_display(text: str) -> str:
    """`text` safe for a terminal, a log and a plot: control characters and the like escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in _INVISIBLE else char for char in text
    )


def redact_url(url: str) -> str:
    """`url` without user name, password and query, which may hold credentials."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
