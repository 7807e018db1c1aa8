"""Lists in CSV, TSV, and with semicolons or vertical bars."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from pipelines.sources.cells import Row
from pipelines.sources.lists.table import ListTable, is_image_path
from records.errors import UsageError
from records.text.delimited import Dialect, find_dialect, read_delimited
from records.text.escaping import escape_for_display

_DELIMITERS = ",;\t|"


def read_delimited_table(text: str, path: str, *, columns: tuple[str, ...]) -> ListTable:
    """Return the table of a delimited text.

    A first row that contains a path of an image is not a header.

    Args:
        text: the text.
        path: the path of the list, for messages.
        columns: columns that the user names; numbers of columns mean that there is no header.

    Raises:
        UsageError: the text is not valid CSV, or two columns have the same name.
    """
    dialect = _find_dialect(text, path)
    _, first = next(_read(text, path, dialect), (0, []))
    names = [cell.strip() for cell in first]
    has_header = not any(map(is_image_path, dict.fromkeys(names))) and not _are_numbers(
        columns, names
    )
    if not has_header:
        names = [str(number) for number in range(1, len(first) + 1)]
    _require_distinct(names, path)

    def rows() -> Iterator[tuple[int, Row]]:
        found = _read(text, path, dialect)
        if has_header:
            next(found, None)
        for number, row in found:
            if len(row) > len(names):
                raise UsageError(
                    f"a row has more fields than the {'header' if has_header else 'first row'}",
                    path=f"{path} line {number}",
                    got=escape_for_display(dialect.delimiter.join(row)),
                    hint="put a path or label that contains the delimiter in quotation marks",
                )
            yield number, dict(zip(names, row, strict=False))

    return ListTable(path, tuple(dict.fromkeys(names)), rows, has_header=has_header)


def _find_dialect(text: str, path: str) -> Dialect:
    dialect = find_dialect(text, _DELIMITERS)
    _, first = next(_read(text, path, dialect), (0, [""]))
    name, blank, _ = first[0].strip().partition(" ")
    is_spaced = len(first) == 1 and bool(blank) and is_image_path(name)
    # `0001.jpg 5`: lists of research code
    return find_dialect(text, " ") if is_spaced else dialect


def _read(text: str, path: str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    number = 0
    try:
        for number, row in read_delimited(text, dialect):
            yield number, row
    except csv.Error as error:
        raise UsageError(
            "the list is not valid CSV", path=f"{path} line {number + 1}", got=str(error)
        ) from error


def _are_numbers(columns: tuple[str, ...], names: list[str]) -> bool:
    """Return whether the user names columns by number, and the first row has other names."""
    is_numbered = bool(columns) and all(name.isdecimal() for name in columns)
    return is_numbered and set(columns).isdisjoint(names)


def _require_distinct(names: list[str], path: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            raise UsageError(
                "two columns of the list have the same name",
                path=path,
                got=escape_for_display(name),
                hint="rename one of them",
            )
        seen.add(name)
