"""A list as a table: column names and rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from records.images import IMAGE_EXTENSIONS
from records.text.escaping import escape_for_display

_SHOWN_COLUMNS = 10
_EXTENSIONS = tuple(IMAGE_EXTENSIONS)
_LONGEST_EXTENSION = max(map(len, _EXTENSIONS))

Cell = str | tuple[str, ...] | None
"""A text, several texts, or None for a value that is neither text nor a number."""

Row = Mapping[str, Cell]
"""Cells by column; cells without a value may be missing."""


class ListTable(NamedTuple):
    """The rows of a list.

    Attributes:
        path: the path of the list, for messages.
        columns: the distinct column names; without a header, the numbers of the columns from 1.
        rows: a function that yields the number and the cells of each row, from the first on.
        unit: what the numbers of rows count: `line` or `row`.
        has_header: whether the names of the columns are part of the list.
    """

    path: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[tuple[int, Row]]]
    unit: str = "line"
    has_header: bool = True

    def place(self, number: int) -> str:
        """Return the place of a row, for messages."""
        return f"{self.path} {self.unit} {number}"

    def shown_columns(self) -> str:
        """Return the first column names, for messages."""
        return show_names(self.columns)


def show_names(names: tuple[str, ...]) -> str:
    """Return the first of these names, for messages."""
    shown = ", ".join(escape_for_display(name) or '""' for name in names[:_SHOWN_COLUMNS])
    return (shown or "none") + ", …" * (len(names) > _SHOWN_COLUMNS)


def cell_text(value: object) -> Cell:
    """Return a value of JSON or Parquet as a cell; `1.0` becomes `1`, as pandas means it."""
    if isinstance(value, list):
        texts = tuple(text for item in value if isinstance(text := cell_text(item), str))
        return texts if len(texts) == len(value) else None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    return "" if value is None else None


def is_image_path(text: str) -> bool:
    """Return whether a text ends as names of images do, or is a URL."""
    return "://" in text[:16] or text.rstrip()[-_LONGEST_EXTENSION:].lower().endswith(_EXTENSIONS)
