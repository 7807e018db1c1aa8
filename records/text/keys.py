"""Keys as bytes and as escaped text.

A key is bytes. Its text form escapes bytes that are not UTF-8 as `%XX`, and `%` itself as `%25`, so
that the text converts back to exactly the same bytes.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from records.text.escaping import is_invisible


def key_to_text(key: bytes) -> str:
    """Return a key as text: `%` becomes `%25`, each byte that is not UTF-8 becomes `%XX`."""
    text = key.replace(b"%", b"%25").decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    return re.sub("[\udc80-\udcff]", lambda m: f"%{ord(m[0]) - 0xDC00:02X}", text)


def key_from_text(text: str) -> bytes:
    """Return the key whose `key_to_text` is `text`; lone surrogates stand for single bytes."""
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))


def key_to_single_line(text: str) -> str:
    """Return the text of a key on one line, with control and invisible characters as `%XX`.

    `key_from_text` decodes the result.
    """
    return re.sub("[^ -~]", _percent_encode, text)


def _percent_encode(found: re.Match[str]) -> str:
    if not is_invisible(found[0]):
        return found[0]
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape"))
