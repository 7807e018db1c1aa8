"""Edits of an incremental run: new classes, renamed classes, and missing files."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pipelines.edit.plan import Edits, Labels, find_edits
from pipelines.edit.selection import KeySelection, edit_by_key
from pipelines.incremental.diff import SourceDiff
from records.format.index import Index, label_lists
from records.format.label_map import LabelMap
from records.format.layout import SplitName
from records.format.manifest import Manifest
from records.runtime.row_table import iter_rows
from records.storage import Storage
from records.text.keys import key_to_text


def find_source_edits(
    output: Storage, base: Manifest, labels: LabelMap, diff: SourceDiff, *, accept_gone: bool
) -> Edits | None:
    """Return the edits that make the records of a dataset those of a source; None if none.

    Args:
        output: the storage of the dataset.
        base: the manifest of the dataset.
        labels: the label map of the new generation; it begins with that of the dataset, with the
            new names of classes.
        diff: the differences between the source and the dataset.
        accept_gone: whether records are removed if their files are missing from the source.

    Raises:
        CorruptDataError: an index is damaged or missing.
    """
    renames = diff.renames
    new: dict[str, Labels | None] = {}
    rows = iter_rows(diff.corrected, "stored_key", "label", "labels")
    for key, label, several in rows:
        new[key_to_text(key)] = (label,) if several is None else tuple(several)
    if accept_gone:
        new |= dict.fromkeys(map(key_to_text, diff.deleted))
    if not new and not renames.names:
        return None
    changed, by_key = renames.changed(base.labels), edit_by_key(KeySelection(new), new)

    def edit(split: SplitName, index: Index) -> Mapping[int, Labels | None]:
        found = enumerate(label_lists(index.table)) if changed else ()
        renamed = {row: renames.apply(them) for row, them in found if not changed.isdisjoint(them)}
        return {**renamed, **by_key(split, index)}

    edits = find_edits(output, base, labels, edit, renames.apply)
    edits.renamed_classes = renames.names
    edits.removed = [msgspec.structs.replace(it, deleted=True) for it in edits.removed]
    edits.relabelled = [msgspec.structs.replace(it, source=True) for it in edits.relabelled]
    return edits
