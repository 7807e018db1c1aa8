"""A list as a table: column names and rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipelines.sources.cells import Row
from records.images import IMAGE_EXTENSIONS
from records.text.escaping import escape_for_display

_SHOWN_COLUMNS = 10
_EXTENSIONS = tuple(IMAGE_EXTENSIONS)
_LONGEST_EXTENSION = max(map(len, _EXTENSIONS))


class ListTable(NamedTuple):
    """The rows of a list.

    Attributes:
        path: the path of the list, for messages.
        columns: the distinct column names; without a header, the numbers of the columns from 1.
        rows: a function that yields the number and the cells of each row, from the first on.
        unit: what the numbers of rows count: `line` or `row`.
        has_header: whether the names of the columns are part of the list.
        kind: the word for the list, for messages.
        show: a function that returns the place of a row by its number, if it is not a place in
            `path`.
    """

    path: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[tuple[int, Row]]]
    unit: str = "line"
    has_header: bool = True
    kind: str = "list"
    show: Callable[[int], str] | None = None

    def place(self, number: int) -> str:
        """Return the place of a row, for messages."""
        return f"{self.path} {self.unit} {number}" if self.show is None else self.show(number)

    def shown_columns(self) -> str:
        """Return the first column names, for messages."""
        return show_names(self.columns)


def show_names(names: tuple[str, ...]) -> str:
    """Return the first of these names, for messages."""
    shown = ", ".join(escape_for_display(name) or '""' for name in names[:_SHOWN_COLUMNS])
    return (shown or "none") + ", …" * (len(names) > _SHOWN_COLUMNS)


def folder_name(path: str) -> str:
    """Return the name of the folder of a path, with slashes or backslashes; empty without one."""
    return path.strip().replace("\\", "/").rpartition("/")[0].rpartition("/")[2]


def is_image_path(text: str) -> bool:
    """Return whether a text ends as names of images do, or is a URL."""
    return "://" in text[:16] or text.rstrip()[-_LONGEST_EXTENSION:].lower().endswith(_EXTENSIONS)
