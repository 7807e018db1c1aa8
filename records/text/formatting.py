"""Figures as aligned text."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_ROUNDED_UP = 999.5
_WIDE = {"W", "F"}


def format_bytes(size_bytes: float) -> str:
    """`937 B`, `4.63 MB`, `66.3 MB`: decimal units, three digits."""
    size, unit = float(size_bytes), 0
    while size >= _ROUNDED_UP and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}"


def pluralize(number: int, thing: str) -> str:
    """`1 shard`, `1,200 shards`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def align(rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Rows of cells as lines with aligned columns.

    Args:
        rows: all of the same number of cells.
        right: a character a column, `>` for those whose cells end at the same place.
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_pad(row, widths, right)).rstrip() for row in rows]


def _pad(row: Sequence[str], widths: Sequence[int], right: str) -> list[str]:
    cells = []
    for place, (cell, wanted) in enumerate(zip(row, widths, strict=True)):
        space = " " * (wanted - width(cell))
        cells.append(space + cell if right[place : place + 1] == ">" else cell + space)
    return cells


def width(text: str) -> int:
    """How many columns of a terminal `text` takes: Chinese characters two, accents none."""
    return sum(
        0
        if unicodedata.combining(char)
        else 2
        if unicodedata.east_asian_width(char) in _WIDE
        else 1
        for char in text
    )
