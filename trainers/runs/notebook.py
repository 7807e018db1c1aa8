"""HTML for notebooks: facts about a run, and its curves."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from records.errors import ShardmillError
from records.text.html import facts_to_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MOST_BYTES = 180_000
"""The size of the largest picture of curves that is shown."""


def run_html(facts: Iterable[tuple[str, str]], read_curves: Callable[[], bytes]) -> str:
    """Return a run as HTML: facts, and its curves if they can be read.

    Args:
        facts: names and values, as text.
        read_curves: a function that returns the picture of the curves, PNG. If it fails, because
            the run has no finished epoch or was moved, the HTML has no picture.
    """
    try:
        curves = read_curves()
    except (OSError, ShardmillError):
        curves = b""
    picture = ""
    if 0 < len(curves) <= _MOST_BYTES:
        url = f"data:image/png;base64,{b64encode(curves).decode()}"
        picture = f'<img src="{url}" alt="the metrics of the run by epoch">'
    return f"<div>{facts_to_html(facts)}{picture}</div>"
