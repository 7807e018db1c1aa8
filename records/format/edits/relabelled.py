"""Lists of relabelled records, `relabelled.jsonl`, one file per generation."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from records.format import layout
from records.format.edits.lists import EditList


class RelabelledRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A record with other classes than before.

    Attributes:
        key: the key of the image as text.
        old_classes: the class of the image before, or its classes; JSON calls them `from`.
        new_classes: the class of the image after, or its classes; JSON calls them `to`.
        source: whether the new classes are those of the source, not a correction by `relabel`.
    """

    key: str
    old_classes: tuple[str, ...] = msgspec.field(name="from")
    new_classes: tuple[str, ...] = msgspec.field(name="to")
    source: bool = False

    @property
    def is_edit(self) -> bool:
        """Whether the generation of this entry relabelled the record."""
        return True


RELABELLED = EditList(layout.RELABELLED, RelabelledRecord, "relabelled records")


def rename_classes(record: RelabelledRecord, renames: Mapping[str, str]) -> RelabelledRecord:
    """Return a relabelled record with the new names of its classes."""

    def rename(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(renames.get(name, name) for name in names))

    return msgspec.structs.replace(
        record, old_classes=rename(record.old_classes), new_classes=rename(record.new_classes)
    )
