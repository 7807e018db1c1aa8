"""Escaping of untrusted names for terminals, logs, plots and printed JSON."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
# Letters and marks without a shape: the Hangul fillers, the grapheme joiner, two Khmer vowels.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_SPECIAL = re.compile("[^ -~]")
_NOT_JSON_ASCII = re.compile("[^\x00-~]")


def is_invisible(char: str) -> bool:
    """Return whether a character is a control, has no shape, or changes the direction of text."""
    return char in _BLANK or unicodedata.category(char) in _INVISIBLE


def escape_for_display(text: str) -> str:
    """Return text with control and invisible characters escaped as in Python."""
    return _SPECIAL.sub(_escape, text)


def escape_surrogates(text: str) -> str:
    """Return text that UTF-8 can encode: bytes of a path that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def escape_json(content: bytes) -> bytes:
    r"""Return JSON with invisible characters as `\u` escapes, which every reader decodes.

    Args:
        content: valid JSON, in which control characters below U+0020 are already escaped.
    """
    return _NOT_JSON_ASCII.sub(_escape_in_json, content.decode()).encode()


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode() if is_invisible(found[0]) else found[0]


def _escape_in_json(found: re.Match[str]) -> str:
    if not is_invisible(found[0]):
        return found[0]
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
