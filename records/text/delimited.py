"""Rows of delimited text, whose delimiter and quotation mark are found."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

_SAMPLE_CHARACTERS = 1 << 16


class Dialect(NamedTuple):
    """How the cells of a delimited text are separated and quoted.

    Attributes:
        delimiter: the character between two cells.
        quote: the quotation mark.
        skips_blanks: whether blanks after a delimiter do not belong to a cell.
        start: the offset of the first line.
        lines: number of lines before it.
    """

    delimiter: str
    quote: str = '"'
    skips_blanks: bool = False
    start: int = 0
    lines: int = 0


def find_dialect(text: str, delimiters: str) -> Dialect:
    """Return the dialect of a text: its first line has the most cells with it.

    Excel writes the delimiter as a first line, such as `sep=;`.

    Args:
        text: the text; only its first 65,536 characters are read.
        delimiters: the possible delimiters; the first of several equal ones is chosen.
    """
    sample = text[:_SAMPLE_CHARACTERS]
    start = lines = 0
    is_named = sample[:4].lower() == "sep=" and sample[5:6] in {"\r", "\n"}
    if is_named and sample[4] in delimiters:
        delimiters, lines = sample[4], 1
        start = 7 if sample[5:7] == "\r\n" else 6
    while sample[start : start + 1] in {"\r", "\n"}:
        start += 2 if sample[start : start + 2] == "\r\n" else 1
        lines += 1
    sample = sample[start:]
    quote = "'" if sample.startswith("'") else '"'
    counts = {it: _count_cells(sample, Dialect(it, quote)) for it in delimiters}
    delimiter = max(counts, key=counts.__getitem__)
    first_line = sample.partition("\n")[0]
    skips_blanks = f"{delimiter} " in first_line and delimiter != "\t"
    return Dialect(delimiter, quote, skips_blanks, start, lines)


def read_delimited(text: str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row that is not empty, and the number of the line on which it ends.

    Raises:
        csv.Error: a quotation mark has no second one, or a cell is too long.
    """
    stream = io.StringIO(text, newline="")
    stream.seek(dialect.start)
    rows = csv.reader(
        stream,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        skipinitialspace=dialect.skips_blanks,
        strict=True,
    )
    for row in rows:
        if row:
            yield dialect.lines + rows.line_num, row


def _count_cells(sample: str, dialect: Dialect) -> int:
    try:
        _, row = next(read_delimited(sample, dialect), (0, []))
    except csv.Error:
        return 0
    return len(row)
