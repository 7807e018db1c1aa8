"""Rows of CSV files that are safe to open in a spreadsheet.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break as a formula,
unless it is a number. In such a cell an apostrophe comes first; spreadsheets show the cell as text.
A cell that begins with an apostrophe gets another one, so that a reader that removes the first
apostrophe of each cell gets the original text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Spreadsheets with East Asian locales also accept the full-width signs.
_FORMULA = re.compile("['=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", re.ASCII)
# Spreadsheets separate cells at a semicolon or a tab in some locales and settings.
_NEEDS_QUOTES = re.compile('[",;\t\r\n]')


def encode_csv_row(cells: Iterable[str | float | None]) -> bytes:
    """Return a row in UTF-8; numbers are written unquoted, None as an empty cell."""
    return (",".join(map(_encode_cell, cells)) + "\r\n").encode()


def _encode_cell(cell: str | float | None) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return str(cell)
    text = f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text
