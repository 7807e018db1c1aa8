"""Columns of classes, with a 1 for each class of an image."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from pipelines.sources.cells import Cell, Row
from records.errors import UsageError
from records.text.escaping import escape_for_display

_ONES = frozenset({"1", "1.0", "true"})
_ZEROS = frozenset({"", "0", "0.0", "-1", "-1.0", "false"})
"""Lower-case values."""


def find_binary_columns(
    names: Iterable[str], rows: Iterable[Row], *, needs_one: bool = True
) -> tuple[str, ...]:
    """Return the columns that hold only 0 and 1; none if there are fewer than two.

    Args:
        names: the columns that may be columns of classes.
        rows: the rows; no more are read than needed.
        needs_one: whether the result is empty if no column has a 1.
    """
    binary, with_one = dict.fromkeys(names), set()
    if len(binary) < 2:
        return ()
    for row in rows:
        for name, value in row.items():
            if name in binary:
                bit = _bit(value)
                if bit is None:
                    del binary[name]
                elif bit:
                    with_one.add(name)
        if len(binary) < 2:
            return ()
    return tuple(binary) if with_one & binary.keys() or not needs_one else ()


def read_one_hot(cells: Row, names: Collection[str], where: str) -> Iterator[str]:
    """Yield the classes whose columns have a 1.

    Args:
        cells: the row.
        names: the columns of classes, each named after its class.
        where: the place of the row, for messages.

    Raises:
        UsageError: a value is neither 0 nor 1.
    """
    for name, value in cells.items():
        if name in names:
            bit = _bit(value)
            if bit is None:
                raise UsageError(
                    f"a value of the one-hot column {escape_for_display(name)} is not 0 or 1",
                    path=where,
                    got=escape_for_display(str(value)[:100]),
                )
            if bit:
                yield name


def _bit(value: Cell) -> bool | None:
    """Return whether a cell is a 1; None if it is neither 0 nor 1."""
    text = value.strip().lower() if isinstance(value, str) else None
    return True if text in _ONES else False if text in _ZEROS else None
