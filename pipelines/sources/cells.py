"""Values of columns and fields, as texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from records.errors import UsageError
from records.format.columns import MAX_TEXT_BYTES
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.user_text import is_utf8

Cell = str | tuple[str, ...] | None
"""A text, several texts, or None for a value that is neither text nor a number."""

Row = Mapping[str, Cell]
"""Cells by column; cells without a value may be missing."""


MOST_LABELS = 10_000
"""The largest number of labels of an image, for containers that do not limit it otherwise."""
_MOST_INTEGER_BITS = 8192
_SEPARATORS = ("|", ";")
"""Separators of several labels in a cell that class names rarely contain."""


def cell_text(value: object) -> Cell:
    """Return a value of JSON or Parquet as a cell; `1.0` becomes `1`, as pandas means it."""
    if isinstance(value, list):
        texts = tuple(
            text
            for item in value
            if not isinstance(item, list) and isinstance(text := cell_text(item), str)
        )
        return texts if len(texts) == len(value) else None
    if isinstance(value, int) and value.bit_length() > _MOST_INTEGER_BITS:
        return None  # Python does not convert it to text
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    return "" if value is None else None


def read_text(cells: Row, column: str, where: str) -> str:
    """Return the single text of a cell; empty if the cell is missing.

    Args:
        cells: the row.
        column: the name of the column.
        where: the place of the row, for messages.

    Raises:
        UsageError: the cell has several texts, or is neither text nor a number.
    """
    value = cells.get(column, "")
    if isinstance(value, tuple) and len(value) <= 1:
        return value[0] if value else ""
    if not isinstance(value, str):
        raise UsageError(
            f"a value of the column {escape_for_display(column)} is neither text nor a number",
            path=where,
            got=", ".join(map(escape_for_display, value[:5])) if value else "an object",
        )
    return value


def require_short(texts: Row, where: str) -> None:
    """Raise UsageError if the texts of one row are too long to be kept.

    Args:
        texts: the cells of the columns that are kept, by name.
        where: the place of the row, for messages.
    """
    sizes = {column: _size_bytes(cell) for column, cell in texts.items()}
    if (total_bytes := sum(sizes.values())) > MAX_TEXT_BYTES:
        longest = max(sizes, key=sizes.__getitem__)
        raise UsageError(
            "the values of a row are too long to be kept",
            path=where,
            expected=f"at most {MAX_TEXT_BYTES:,} bytes in all columns that are kept",
            got=f"{pluralize(total_bytes, 'byte')}, most of them in {escape_for_display(longest)}",
            hint="name the columns to keep: --keep-columns NAME,NAME",
        )


def _size_bytes(cell: Cell) -> int:
    texts = cell if isinstance(cell, tuple) else (cell or "",)
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)


def read_labels(cells: Row, column: str, separator: str | None, where: str) -> Iterator[str]:
    """Yield the labels in a cell, without surrounding blanks.

    Args:
        cells: the row.
        column: the name of the column.
        separator: the text between labels; None if each text is one label.
        where: the place of the row, for messages.

    Raises:
        UsageError: the cell is neither text nor a number, or a label is not valid UTF-8.
    """
    value = cells.get(column, "")
    texts = value if isinstance(value, tuple) else (read_text(cells, column, where),)
    for text in texts:
        for part in (text,) if separator is None else text.split(separator):
            label = part.strip()
            require_utf8(label, where)
            if label:
                yield label


def find_separator(labels: Collection[str]) -> tuple[str, str] | None:
    """Return a label that seems to be several ones, and their separator; None if none does.

    Each of its parts is a label or a part of another label.
    """
    for separator in _SEPARATORS:
        counts = Counter(
            part.strip() for label in labels for part in {*label.split(separator)} if part.strip()
        )
        for label in sorted(labels):
            parts = label.split(separator)
            if len(parts) > 1 and all(counts[part.strip()] > 1 for part in parts):
                return label, separator
    return None


def require_utf8(label: str, where: str) -> None:
    """Raise UsageError if a label is not valid UTF-8; see `read_labels`."""
    if not is_utf8(label):
        raise UsageError(
            "a label is not valid UTF-8",
            path=where,
            got=escape_for_display(label),
            hint="save the labels as UTF-8",
        )


def distinct_labels(found: Iterator[str], where: str, *, is_multi_label: bool) -> tuple[str, ...]:
    """Return the labels of a row, each once.

    Raises:
        UsageError: there are several, and an image has one label.
    """
    labels = tuple(dict.fromkeys(found))
    if len(labels) > 1 and not is_multi_label:
        raise UsageError(
            "a row has several labels",
            path=where,
            expected="one label",
            got=", ".join(map(escape_for_display, labels[:10])),
            hint="pass --multi-label to store all labels of each image, or name the column of one"
            " with --label-column",
        )
    return labels
