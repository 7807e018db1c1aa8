"""Parts of a section of a report: facts, notes, tables, galleries, charts.

A part has only data. Its texts may be anything: the template escapes those that it writes, and the
script of the page shows the others as text.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec

from records.text.escaping import escape_for_display, escape_surrogates
from records.text.formatting import abbreviate

NAME_CHARACTERS = 120
"""The maximum length of a shown name, such as a key or a class."""

Kind = Literal["text", "count", "number", "percent", "bytes", "images"]
Cell = str | float | None | tuple[int, ...]


class Facts(msgspec.Struct, frozen=True):
    """Names and values."""

    kind: ClassVar[str] = "facts"

    rows: tuple[tuple[str, str], ...]


class Note(msgspec.Struct, frozen=True):
    """A paragraph; with the commands that it mentions, if there are some."""

    kind: ClassVar[str] = "note"

    text: str
    commands: tuple[str, ...] = ()


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """A column of a table.

    Attributes:
        name: the heading.
        kind: the kind of its cells; cells of the kind `images` have numbers of an `ImageSet`.
        has_choices: whether the rows can be filtered by each of its texts.
        has_bars: whether its numbers are also shown as bars.
    """

    name: str
    kind: Kind = "text"
    has_choices: bool = msgspec.field(default=False, name="choices")
    has_bars: bool = msgspec.field(default=False, name="bars")


class Table(msgspec.Struct, frozen=True):
    """Rows that can be sorted and filtered, in pages.

    Attributes:
        title: the caption.
        columns: the columns.
        rows: the rows, each with one cell per column.
        note: a remark, such as the number of rows that are left out; empty if there is none.
    """

    kind: ClassVar[str] = "table"

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


class Gallery(msgspec.Struct, frozen=True):
    """Images that can be filtered by class, split and key; numbers of an `ImageSet`."""

    kind: ClassVar[str] = "gallery"

    title: str
    images: Sequence[int]


class Matrix(msgspec.Struct, frozen=True):
    """A confusion matrix whose cells show their images.

    Attributes:
        title: the caption.
        labels: the class names, N.
        counts: the number of images by true and predicted class, N×N.
        totals: the number of images of each true class, N.
        examples: images of cells, numbers of an `ImageSet`, by `TRUE,PREDICTED`, the positions of
            the classes in `labels`.
    """

    kind: ClassVar[str] = "matrix"

    title: str
    labels: Sequence[str]
    counts: Sequence[Sequence[int]]
    totals: Sequence[int]
    examples: dict[str, tuple[int, ...]]


class Chart(msgspec.Struct, frozen=True):
    """A chart as SVG, and a table of its values."""

    kind: ClassVar[str] = "chart"

    title: str
    svg: str
    table: Table


Part = Facts | Note | Table | Gallery | Matrix | Chart


class Section(msgspec.Struct, frozen=True):
    """A section of a report; `id` is its anchor in the page."""

    id: str
    title: str
    parts: tuple[Part, ...]


def show_name(name: str) -> str:
    """Return a key, a class name or a path for display: escaped, and shortened if it is long."""
    return abbreviate(escape_for_display(escape_surrogates(name)), NAME_CHARACTERS)


def show_command(*arguments: str) -> str:
    """Return a command of shardmill for display."""
    return escape_for_display(escape_surrogates(shlex.join(("shardmill", *arguments))))


def show_number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, or a dash."""
    return "–" if value is None else f"{value:,.{digits}g}"
