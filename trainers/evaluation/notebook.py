"""HTML of evaluations, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.text.formatting import pluralize
from records.text.html import escape_html, facts_to_html, name_to_html, table_to_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_CLASSES = 16
"""The number of classes in a table."""
_MAX_MATRIX_CLASSES = 12


def evaluation_html(
    facts: Iterable[tuple[str, str]],
    heads: Sequence[str] = (),
    classes: Iterable[tuple[str, ...]] = (),
    *,
    more_classes: int = 0,
    matrix: str = "",
) -> str:
    """Return an evaluation as HTML.

    Args:
        facts: names and values, as text.
        heads: the headings of the table of classes.
        classes: the name of each class and its metrics, as text.
        more_classes: the number of classes that are left out.
        matrix: the confusion matrix, as HTML.
    """
    rows = [(name_to_html(name), *map(escape_html, values)) for name, *values in classes]
    more = f"<p>and {pluralize(more_classes, 'more class')}</p>" if more_classes else ""
    return f"<div>{facts_to_html(facts)}{table_to_html(heads, rows)}{more}{matrix}</div>"


def matrix_html(names: Sequence[str], counts: Sequence[Sequence[int]] | None) -> str:
    """Return a confusion matrix as HTML; nothing if it has too many classes.

    Args:
        names: the class names, by label.
        counts: the number of images by true and predicted label; None if they are not known.
    """
    if counts is None or len(names) > _MAX_MATRIX_CLASSES:
        return ""
    rows = [
        (name_to_html(name), *(f"{count:,}" if count else "" for count in row))
        for name, row in zip(names, counts, strict=True)
    ]
    return table_to_html(("true \\ predicted", *names), rows)
