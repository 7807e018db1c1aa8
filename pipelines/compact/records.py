"""Records of a dataset as images to convert, and its lists."""

from __future__ import annotations

from pipelines.edit.plan import iter_indexes
from pipelines.sources import Sources
from pipelines.writing.copy import record_to_copy
from records.format.edits import read_past_edits
from records.format.manifest import Manifest
from records.format.rejects import read_unresolved_rejects
from records.format.skipped import SkippedFiles, load_skipped
from records.storage import Storage


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
    sources.removed, sources.relabelled = read_past_edits(storage, manifest)
    return sources
