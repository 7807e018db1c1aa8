"""Columns and fields of containers that the options name."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class WantedFields(NamedTuple):
    """The columns, fields or features of containers that a conversion uses.

    Attributes:
        label: the one with the labels; None if it is found by its name.
        kept: those whose values the records keep.
        keeps_all: whether the records keep the values of all that have no other use.
        is_multi_label: whether an image may have any number of labels.
    """

    label: str | None = None
    kept: tuple[str, ...] = ()
    keeps_all: bool = False
    is_multi_label: bool = False

    @property
    def names_fields(self) -> bool:
        """Whether the user names the field of the label, or fields to keep."""
        return self.label is not None or bool(self.kept) or self.keeps_all

    def keeps(self, name: str, used: Collection[str]) -> bool:
        """Return whether the records keep the values of a column; `used` have another use."""
        return name in self.kept or (self.keeps_all and name not in used)


NO_FIELDS = WantedFields()
