"""Names as text: keys that are not UTF-8, and names that must not command a terminal.

A key is bytes. Its text form escapes what text cannot hold: bytes that are not UTF-8 as `%XX`, and
`%` itself as `%25`, so that the text turns back into exactly the same bytes.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


def key_to_text(key: bytes) -> str:
    """A key as text: `%` becomes `%25`, each byte that is not UTF-8 becomes `%XX`."""
    text = key.replace(b"%", b"%25").decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    return re.sub("[\udc80-\udcff]", lambda m: f"%{ord(m[0]) - 0xDC00:02X}", text)


def key_from_text(text: str) -> bytes:
    """The key whose `key_to_text` is `text`."""
    return unquote_to_bytes(text)


def key_to_line(text: str) -> str:
    """A key's text on one line: control characters as `%XX` too; `key_from_text` still reads it."""
    return re.sub(
        "[\x00-\x1f\x7f-\x9f\u2028\u2029]",
        lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()),
        text,
    )


def printable(text: str) -> str:
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
