"""Lists of relabelled records, `relabelled.jsonl`, one file per generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from records.format import layout
from records.format.edits.lists import EditList

if TYPE_CHECKING:
    from records.format.manifest import Manifest
    from records.storage import Storage


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


def read_relabelled(
    storage: Storage, manifest: Manifest, renames: Mapping[str, str] | None = None
) -> list[RelabelledRecord]:
    """Return the relabelled records of all generations, with the present names of their classes.

    Args:
        storage: the storage of the dataset.
        manifest: its manifest; the oldest generation comes first.
        renames: new names of classes that the manifest does not have yet.

    Raises:
        CorruptDataError: a list is missing or damaged.
    """
    found: list[RelabelledRecord] = []
    for generation, records in RELABELLED.read_each(storage, manifest):
        found = _rename_classes(found, generation.renamed_classes) + records
    return _rename_classes(found, renames or {})


def _rename_classes(
    records: list[RelabelledRecord], renames: Mapping[str, str]
) -> list[RelabelledRecord]:
    def rename(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(renames.get(name, name) for name in names))

    if not renames:
        return records
    return [
        msgspec.structs.replace(
            each, old_classes=rename(each.old_classes), new_classes=rename(each.new_classes)
        )
        for each in records
    ]
