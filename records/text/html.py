"""HTML of names, facts and tables, for notebooks."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAME_CHARACTERS = 60


def escape_html(text: str) -> str:
    """Return text as HTML, with control and invisible characters escaped as in Python."""
    return html.escape(escape_for_display(text))


def name_to_html(name: str) -> str:
    """Return a key or a class name as HTML; the middle of a long name is omitted."""
    if len(name) > 2 * _NAME_CHARACTERS:
        name = f"{name[:_NAME_CHARACTERS]}…{name[-_NAME_CHARACTERS:]}"
    return escape_html(name)


def table_to_html(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; nothing without rows.

    Args:
        heads: the headings of the columns, as text; empty for a table without headings.
        rows: the cells, as HTML; the first one is the heading of its row.
    """
    lines = [
        f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"
        for first, *others in rows
    ]
    if not lines:
        return ""
    head = "".join(f"<th>{name_to_html(name)}</th>" for name in heads)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{''.join(lines)}</table>"


def facts_to_html(facts: Iterable[tuple[str, str]]) -> str:
    """Return names and values, which are texts, as a table; long ones are shortened."""
    return table_to_html((), [tuple(map(name_to_html, fact)) for fact in facts])
