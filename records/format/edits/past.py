"""The edits of a dataset that later runs must know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from records.format.edits.relabelled import RELABELLED, RelabelledRecord, rename_classes
from records.format.edits.removed import REMOVED, RemovedRecord
from records.text.keys import key_from_text

if TYPE_CHECKING:
    from records.format.manifest import Manifest
    from records.storage import Storage

_Corrections = dict[str, list[RelabelledRecord]]


class PastEdits(NamedTuple):
    """The edits that still have an effect, in the order of their keys.

    Attributes:
        removed: the removed records that must not be added again.
        relabelled: the corrections of records by `relabel`, the oldest of each record first. The
            classes of the source replace earlier corrections of a record, and so does its removal.
    """

    removed: list[RemovedRecord]
    relabelled: list[RelabelledRecord]


def read_past_edits(
    storage: Storage, manifest: Manifest, renames: Mapping[str, str] | None = None
) -> PastEdits:
    """Read the lists of all generations; corrections have the present names of their classes.

    Args:
        storage: the storage of the dataset.
        manifest: its manifest.
        renames: new names of classes that the manifest does not have yet.

    Raises:
        CorruptDataError: a list is missing or damaged.
    """
    removed: dict[str, RemovedRecord] = {}
    corrections: _Corrections = {}
    for generation in manifest.generations:
        corrections = _rename(corrections, generation.renamed_classes)
        for record in REMOVED.read_listed(storage, manifest, generation.number):
            removed[record.key] = record
            corrections.pop(record.key, None)
        for edit in RELABELLED.read_listed(storage, manifest, generation.number):
            if edit.source:
                corrections.pop(edit.key, None)
            else:
                corrections.setdefault(edit.key, []).append(edit)
    corrections = _rename(corrections, renames or {})
    kept_out = [each for each in removed.values() if not each.deleted]
    return PastEdits(
        sorted(kept_out, key=lambda each: key_from_text(each.key)),
        [each for key in sorted(corrections, key=key_from_text) for each in corrections[key]],
    )


def _rename(corrections: _Corrections, renames: Mapping[str, str]) -> _Corrections:
    if not renames:
        return corrections
    return {
        key: [rename_classes(edit, renames) for edit in edits] for key, edits in corrections.items()
    }
