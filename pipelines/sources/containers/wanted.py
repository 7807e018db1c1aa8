"""Columns and fields of containers that the options name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from pipelines.sources.cells import Cell, Row, cell_text


class WantedFields(NamedTuple):
    """The columns, fields, features or arrays of containers that a conversion uses.

    Attributes:
        label: the one with the labels, or several names of columns of classes, separated by
            commas; None if it is found by its name.
        kept: those whose values the records keep.
        keeps_all: whether the records keep the values of all that have no other use.
        is_multi_label: whether an image may have any number of labels.
        target: the one with the number of each image, if there is one.
        has_labels: whether labels are read.
    """

    label: str | None = None
    kept: tuple[str, ...] = ()
    keeps_all: bool = False
    is_multi_label: bool = False
    target: str | None = None
    has_labels: bool = True

    @property
    def names_fields(self) -> bool:
        """Whether the user names the field of the label, or fields to keep."""
        return self.label is not None or self.keeps_all or bool(self.named)

    @property
    def is_label_optional(self) -> bool:
        """Whether all images have one class if no container gives labels."""
        return self.target is not None or not self.has_labels

    @property
    def named(self) -> tuple[str, ...]:
        """The columns whose values are kept because the user names them."""
        return self.kept if self.target is None else (*self.kept, self.target)

    def flags(self) -> Iterator[tuple[str, str]]:
        """Yield the option of each named column, and the column."""
        yield from (("--keep-columns", name) for name in self.kept)
        if self.target is not None:
            yield "--target-column", self.target

    def keeps(self, name: str, used: Collection[str]) -> bool:
        """Return whether the records keep the values of a column; `used` have another use."""
        return name in self.named or (self.keeps_all and name not in used)

    def cell(self, name: str, value: object) -> Cell:
        """Return a value to keep; a list of a column that is not named is none, as it is long."""
        is_list = isinstance(value, list) and len(value) > 1
        return None if is_list and name not in self.named else cell_text(value)

    def cells(self, values: Mapping[str, object], used: Collection[str]) -> Row:
        """Return the values to keep; `used` have another use."""
        return {
            name: self.cell(name, value) for name, value in values.items() if self.keeps(name, used)
        }


NO_FIELDS = WantedFields()
