"""Class names in Unicode NFC, the form that is compared and stored."""

from __future__ import annotations

import unicodedata

from records.text.keys import key_to_text

_MAX_COMBINING = 1000
_JOINER = "\u034f"
"""The combining grapheme joiner, which separates runs of combining characters (Unicode UAX 15)."""


def class_name(folder: bytes) -> str:
    """Return the class name of a folder: the name in Unicode NFC, `%XX` for non-UTF-8 bytes."""
    try:
        name = folder.decode()
    except UnicodeDecodeError:
        name = key_to_text(folder)
    return normalize_name(name)


def normalize_name(name: str) -> str:
    """Return a name in Unicode NFC, in linear time.

    Normalization sorts each run of combining characters in quadratic time. A run of more than 1,000
    is therefore divided by joiners; Unicode's stream-safe format does so after 30.
    """
    return unicodedata.normalize("NFC", _divide_runs(name) if _has_long_run(name) else name)


def _has_long_run(name: str) -> bool:
    return len(name) > _MAX_COMBINING and not name.isascii()


def _divide_runs(name: str) -> str:
    parts = []
    run = 0
    for char in name:
        run = run + 1 if unicodedata.combining(char) else 0
        if run > _MAX_COMBINING:
            parts.append(_JOINER)
            run = 1
        parts.append(char)
    return "".join(parts)
