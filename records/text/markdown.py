"""Text and tables as Markdown, with every special character escaped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Sequence


def inline(text: str) -> str:
    """Return text in which no character is Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>|#&])", r"\\\1", escape_for_display(text))


def code(text: str) -> str:
    """Return text as code, in which no character has another meaning."""
    shown = escape_for_display(text)
    ticks = backticks(shown, least=1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def fenced(text: str, language: str) -> list[str]:
    """Return the lines of a block of code."""
    fence = backticks(text, least=3)
    return [f"{fence}{language}", text.strip("\n"), fence]


def backticks(text: str, *, least: int) -> str:
    """Return more backticks than any sequence of them in a text has."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: bool = True) -> list[str]:
    """Return the lines of a table.

    Args:
        head: the titles of the columns.
        rows: the cells of each row, as Markdown.
        right: whether all columns but the first are aligned to the right.
    """
    rule = ["---", *["---:" if right else "---"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
