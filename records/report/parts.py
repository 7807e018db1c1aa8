"""Parts of a section of a report.

They are facts, links, notes, tables, galleries, confusion matrices and charts.
A part has only data. Its texts may be anything: the template escapes those that it writes, and the
script of the page shows the others as text.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import msgspec

from records.text.escaping import escape_for_display, escape_surrogates
from records.text.formatting import abbreviate

NAME_CHARACTERS = 120
"""The maximum length of a shown name, such as a key or a class."""

Kind = Literal["text", "count", "number", "percent", "points", "bytes", "images"]
Cell = str | float | None | tuple[int, ...]


class Facts(msgspec.Struct, frozen=True):
    """Names and values."""

    kind: ClassVar[str] = "facts"

    rows: tuple[tuple[str, str], ...]


class Finding(NamedTuple):
    """A main result of a section.

    Attributes:
        name: the name of the finding, such as `Leaks`.
        text: its number, or its main values.
        part: the title of the part of the section that shows more; empty for the whole section.
    """

    name: str
    text: str
    part: str = ""


class Link(NamedTuple):
    """A finding, with a link to the place that shows more.

    Attributes:
        anchor: the anchor of the section, or of a part of it.
        name: the name of the finding.
        text: its number, or its main values.
    """

    anchor: str
    name: str
    text: str


class Links(msgspec.Struct, frozen=True):
    """Findings, with links."""

    kind: ClassVar[str] = "links"

    rows: tuple[Link, ...]


class Note(msgspec.Struct, frozen=True):
    """A paragraph; with the commands that it mentions, if there are some."""

    kind: ClassVar[str] = "note"

    text: str
    commands: tuple[str, ...] = ()


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """A column of a table.

    Attributes:
        name: the heading.
        kind: the kind of its cells; cells of the kind `images` have numbers of an `ImageSet`, and
            those of the kind `points` are differences of fractions, shown as percentage points.
        has_choices: whether the rows can be filtered by each of its texts.
        has_bars: whether its numbers are also shown as bars.
        keeps_first: whether the first image of each cell is to be kept, and the others are not.
    """

    name: str
    kind: Kind = "text"
    has_choices: bool = msgspec.field(default=False, name="choices")
    has_bars: bool = msgspec.field(default=False, name="bars")
    keeps_first: bool = msgspec.field(default=False, name="keepsFirst")


class Table(msgspec.Struct, frozen=True):
    """Rows that can be sorted and filtered, in pages.

    Attributes:
        title: the caption.
        columns: the columns.
        rows: the rows, each with one cell per column.
        note: a remark, such as the meaning of a column; empty if there is none.
        overlays: the name of the overlay of the images of each row; empty if the table has none.
        total: the number of all rows, if the table may have only the first of them; otherwise 0.
        thing: what a row is, such as `pair`.
    """

    kind: ClassVar[str] = "table"

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    overlays: Sequence[str] = ()
    total: int = 0
    thing: str = "row"


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


Part = Facts | Links | Note | Table | Gallery | Matrix | Chart


class Section(msgspec.Struct, frozen=True):
    """A section of a report.

    Attributes:
        id: its anchor in the page.
        title: the heading.
        parts: the content.
        findings: its main results, which the page shows first.
    """

    id: str
    title: str
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def shown_parts(self) -> tuple[Part, ...]:
        """Return the parts without empty tables."""
        return tuple(
            part for part in self.parts if not isinstance(part, Table) or len(part.rows) > 0
        )

    def anchor_of(self, title: str) -> str:
        """Return the anchor of the part with a title; of the section if no shown part has it."""
        titles = [getattr(part, "title", None) for part in self.shown_parts]
        return part_anchor(self.id, titles.index(title)) if title in titles else self.id


def part_anchor(section: str, place: int) -> str:
    """Return the anchor of a part of a section, which no section has."""
    return f"{section}_{place}"


def show_name(name: str) -> str:
    """Return a key, a class name or a path for display: escaped, and shortened if it is long."""
    return abbreviate(escape_for_display(escape_surrogates(name)), NAME_CHARACTERS)


def quote_name(name: str) -> str:
    """Return a class name for a sentence, in which a name such as `5` would look like a number."""
    return f"“{show_name(name)}”"


def show_command(*arguments: str) -> str:
    """Return a command of shardmill for display."""
    return escape_for_display(escape_surrogates(shlex.join(("shardmill", *arguments))))


def show_number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, or a dash."""
    return "–" if value is None else f"{value:,.{digits}g}"
