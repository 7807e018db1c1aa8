"""Lists in CSV, TSV, with semicolons, vertical bars or blanks."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import islice

from pipelines.sources.cells import Row
from pipelines.sources.column_names import plain_name
from pipelines.sources.lists.table import ListTable, is_image_path
from records.errors import UsageError
from records.text.delimited import Dialect, find_dialect, read_delimited
from records.text.escaping import escape_for_display

_DELIMITERS = ",;\t|"
_BLANK = " "
_SAMPLE_ROWS = 20
_LINE_END = re.compile(r"\r\n?|\n")
_BOXES = "predictionstring"
_BOX_WORDS = 5
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


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
    sample = [row for _, row in islice(_read(text, path, dialect), 2)]
    first = sample[0] if sample else []
    names = [cell.strip() for cell in first]
    has_header = not (
        any(map(is_image_path, dict.fromkeys(names)))
        or _are_numbers(columns, names)
        or (dialect.delimiter == _BLANK and any(map(_NUMBER.fullmatch, names)))
        or (len(names) == 1 and "/" in names[0])
    )
    if not has_header:
        names = [str(number) for number in range(1, len(first) + 1)]
    elif dialect.delimiter == _BLANK and len(sample[-1]) == len(names) + 1:
        names = ["path", *names]  # the header of CelebA names only the attributes
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

    table = ListTable(path, tuple(dict.fromkeys(names)), rows, has_header=has_header)
    boxes = next((name for name in table.columns if plain_name(name) == _BOXES), None)
    return table if boxes is None else _without_boxes(table, boxes)


def _find_dialect(text: str, path: str) -> Dialect:
    dialect = find_dialect(text, _DELIMITERS)
    rows = [row for _, row in islice(_read(text, path, dialect), _SAMPLE_ROWS)]
    # Lists of research code
    if _is_spaced(rows[:1]) or _are_numbers_after_names(rows) or _are_numbered_paths(rows):
        return find_dialect(text, _BLANK)
    if _is_spaced(rows[2:3]) and len(rows[0]) == 1 and rows[0][0].strip().isdecimal():
        # The number of images, and the names of the columns: CelebA, DeepFashion
        end = _LINE_END.search(text, dialect.start)
        assert end is not None, "two lines follow"
        return Dialect(_BLANK, skips_blanks=True, start=end.end(), lines=dialect.lines + 1)
    return dialect


def _are_numbers_after_names(rows: list[list[str]]) -> bool:
    """Return whether rows are `NAME 1 2` or `1 2`: Oxford-IIIT Pets, labels of CUB-200."""
    words = [row[0].split() for row in rows if len(row) == 1]
    if len(words) < len(rows) or len(set(map(len, words))) != 1:
        return False
    are_numbers = all(_NUMBER.fullmatch(word) for row in words for word in row[1:])
    is_number = all(_NUMBER.fullmatch(word) for row in words for word in row[:1])
    return are_numbers and len(words[0]) >= (2 if is_number else 3)


def _are_numbered_paths(rows: list[list[str]]) -> bool:
    """Return whether rows are `1 a/0001.jpg`, with distinct numbers: images of CUB-200."""
    words = [row[0].partition(_BLANK) for row in rows if len(row) == 1]
    numbers = {number for number, _, path in words if "/" in path and is_image_path(path)}
    return bool(rows) and len(numbers) == len(rows) and all(map(str.isdecimal, numbers))


def _is_spaced(rows: list[list[str]]) -> bool:
    """Return whether the first row is `0001.jpg 5`: the path of an image, a blank, and more."""
    if not rows or len(rows[0]) != 1:
        return False
    name, blank, _ = rows[0][0].strip().partition(_BLANK)
    return bool(blank) and is_image_path(name)


def _read(text: str, path: str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    number = 0
    try:
        for number, row in read_delimited(text, dialect):
            if dialect.delimiter == _BLANK and not row[-1]:
                row.pop()  # a blank at the end of a line begins no cell
            yield number, row
    except csv.Error as error:
        raise UsageError(
            "the list is not valid CSV", path=f"{path} line {number + 1}", got=str(error)
        ) from error


def _without_boxes(table: ListTable, column: str) -> ListTable:
    """Return a list of Kaggle's localization, with classes but no boxes in a column.

    `n01440764 1 2 3 4 n01440764 5 6 7 8` is one class with two boxes.
    """

    def rows() -> Iterator[tuple[int, Row]]:
        for number, row in table.rows():
            words = str(row.get(column, "")).split()
            classes, boxes = words[::_BOX_WORDS], len(words) // _BOX_WORDS
            numbers = sum(_NUMBER.fullmatch(word) is not None for word in words)
            has_boxes = len(words) == boxes * _BOX_WORDS and numbers == boxes * (_BOX_WORDS - 1)
            is_named = not any(map(_NUMBER.fullmatch, classes))
            yield number, {**row, column: tuple(classes)} if has_boxes and is_named else row

    return table._replace(rows=rows)


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
