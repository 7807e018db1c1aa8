"""Records of a dataset as images to convert, and its lists."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.edit.plan import iter_indexes
from pipelines.sources import Sources
from pipelines.writing.copy import record_to_copy
from records.format.edits import REMOVED, RelabelledRecord, RemovedRecord, read_relabelled
from records.format.manifest import Manifest
from records.format.rejects import read_unresolved_rejects
from records.format.skipped import SkippedFiles, load_skipped
from records.storage import Storage
from records.text.keys import key_from_text


def list_records(storage: Storage, manifest: Manifest) -> Sources:
    """Return the records of a dataset as images to convert, with their record numbers.

    Raises CorruptDataError if an index is damaged, or missing.
    """
    left_out = SkippedFiles()
    if manifest.adopted is None:  # an adoption skips no file
        left_out = load_skipped(storage, manifest.generations[-1])
    columns = manifest.settings.columns
    sources = Sources(manifest.labels, None, left_out=left_out, columns=columns)
    for split, first, _, index in iter_indexes(storage, manifest):
        for number, row in enumerate(index.rows(), first):
            sources.add(record_to_copy(row, split, number))
    sources.rejects = read_unresolved_rejects(storage, manifest)
    sources.removed = _merge_removed(REMOVED.read_all(storage, manifest))
    sources.relabelled = _merge_relabelled(read_relabelled(storage, manifest), sources.removed)
    return sources


def _merge_removed(removed: Iterable[RemovedRecord]) -> list[RemovedRecord]:
    """Return the removed records in the order of their keys.

    Later incremental runs must not add the removed images again.
    """
    newest = {each.key: each for each in removed}
    kept_out = (each for each in newest.values() if not each.deleted)
    return sorted(kept_out, key=lambda each: key_from_text(each.key))


def _merge_relabelled(
    relabelled: Iterable[RelabelledRecord], removed: Iterable[RemovedRecord]
) -> list[RelabelledRecord]:
    """Return the corrections in the order of their keys, without those that have no effect.

    The classes of the source have replaced earlier corrections of a record.
    """
    found: dict[str, list[RelabelledRecord]] = {}
    for each in relabelled:
        before = [] if each.source else found.get(each.key, [])
        found[each.key] = before if each.source else [*before, each]
    for record in removed:
        found.pop(record.key, None)
    keys = sorted(found, key=key_from_text)
    return [each for key in keys for each in found[key]]
