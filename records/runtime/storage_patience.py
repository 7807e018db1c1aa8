"""The default patience with a store that does not answer.

Child processes inherit it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from records.errors import UsageError

VARIABLE = "SHARDMILL_STORAGE_PATIENCE"
"""The environment variable of the default patience; child processes inherit it."""
DEFAULT = "10m"
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(s|m|h|d|)")
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Return the seconds of a duration: a number and a unit, such as `90s`, `10m`, `1.5h` or `0`.

    Raises:
        UsageError: the text is not a duration.
    """
    is_text = isinstance(text, str)  # the Python API passes what it was given
    found = _DURATION.fullmatch(text.strip().lower()) if is_text else None
    if found is None:
        raise UsageError(
            "invalid duration", expected="a number of s, m, h or d, such as 90s or 10m", got=text
        )
    return float(found[1]) * _UNIT_SECONDS[found[2]]


def default_patience_seconds() -> float:
    """Return the patience of this process in seconds. Raises UsageError as `parse_duration`."""
    return parse_duration(os.environ.get(VARIABLE) or DEFAULT)


def set_default_patience(text: str) -> None:
    """Set the patience of this process and its children. Raises UsageError as `parse_duration`."""
    parse_duration(text)
    os.environ[VARIABLE] = text


@contextmanager
def default_patience(text: str | None) -> Iterator[None]:
    """Set the patience of this process during a block; None changes nothing.

    Raises:
        UsageError: as `parse_duration`.
    """
    before = os.environ.get(VARIABLE)
    if text is not None:
        set_default_patience(text)
    try:
        yield
    finally:
        if before is not None:
            os.environ[VARIABLE] = before
        elif text is not None:
            os.environ.pop(VARIABLE, None)
