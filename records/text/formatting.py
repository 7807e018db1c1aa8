"""Numbers and tables as text."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_ROUNDED_UP = 999.5
_WIDE = {"W", "F"}
_MAX_CELL_CHARACTERS = 120


def format_bytes(size_bytes: float) -> str:
    """Return a size in decimal units with three significant digits: `937 B`, `4.63 MB`."""
    size, unit = float(size_bytes), 0
    while size >= _ROUNDED_UP and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}"


def pluralize(number: int, thing: str) -> str:
    """Return a number with its noun: `1 shard`, `1,200 shards`, `2 classes`."""
    return f"{number:,} {thing if number == 1 else plural(thing)}"


def plural(thing: str) -> str:
    """Return the plural of a noun: `shards`, `classes`."""
    return f"{thing}es" if thing.endswith(("s", "x", "sh", "tch")) else f"{thing}s"


def abbreviate(text: str, characters: int) -> str:
    """Return a text of at most `characters`: its start, `…`, its end and its full length."""
    if len(text) <= characters:
        return text
    note = f" ({len(text):,} characters)"
    shown = max(characters - len(note) - 1, 0)
    end = shown // 4
    return f"{text[: shown - end]}…{text[len(text) - end :]}{note}"


def align(rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Return rows of cells as lines with aligned columns.

    Long cells are shortened, except in the last column: otherwise one long name would add as many
    spaces to every line.

    Args:
        rows: the rows, each with the same number of cells.
        right: the alignment, one character per column; `>` aligns a column to the right.
    """
    rows = [
        (*(abbreviate(cell, _MAX_CELL_CHARACTERS) for cell in cells), last) for *cells, last in rows
    ]
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    if widths and right[len(widths) - 1 : len(widths)] != ">":
        widths[-1] = 0  # nothing follows the last column
    return ["  ".join(_pad(row, widths, right)).rstrip() for row in rows]


def _pad(row: Sequence[str], widths: Sequence[int], right: str) -> list[str]:
    cells = []
    for number, (cell, wanted) in enumerate(zip(row, widths, strict=True)):
        space = " " * (wanted - display_width(cell))
        cells.append(space + cell if right[number : number + 1] == ">" else cell + space)
    return cells


def display_width(text: str) -> int:
    """Return the width of a text in terminal columns: 2 per wide character, 0 per accent."""
    return sum(
        0
        if unicodedata.combining(char)
        else 2
        if unicodedata.east_asian_width(char) in _WIDE
        else 1
        for char in text
    )
