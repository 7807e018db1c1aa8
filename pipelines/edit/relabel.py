"""Correction of classes: read, plan, copy with other labels, publish."""

from __future__ import annotations

import msgspec

from pipelines.edit.apply import apply_edits, open_to_edit
from pipelines.edit.corrections import Corrections, extend_label_map, require_one_class
from pipelines.edit.plan import DatasetToEdit, iter_indexes, plan_edits
from pipelines.edit.report import EditReport, report_edits
from pipelines.edit.selection import KeySelection, edit_by_key, missing_keys
from records.runtime.shard_worker import OnProgress, RunnerConfig


def relabel(
    dataset: str,
    corrections: Corrections,
    *,
    allow_new_classes: bool = False,
    ignore_missing: bool = False,
    runner: RunnerConfig | None = None,
    processes: int | None = None,
    dry_run: bool = False,
    message: str | None = None,
    on_progress: OnProgress | None = None,
) -> EditReport:
    """Change the classes of records, in a new generation. Splits do not change.

    Resumes an interrupted run; does nothing if all records have the given classes.

    Args:
        dataset: the path or URL of a dataset.
        corrections: the class names of the images to relabel, by key.
        allow_new_classes: whether classes that the dataset does not have are added to it.
        ignore_missing: whether keys that the dataset does not have are accepted.
        runner: the runner that copies shards; `local` by default.
        processes: the number of processes of the runner `local`; by default, it follows from the
            usable CPUs and the work.
        dry_run: whether to only report what would be changed.
        message: the reason for the new generation, for its provenance.
        on_progress: a callback that receives the number of copied records and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset, or it does not have one of the keys.
        UsageError: a correction is invalid, or another program wrote the records.
        CorruptDataError: a record, an index or a list of the dataset is damaged.
        OutputError: the dataset cannot be written to, or contains a file of the user with a name
            that the run needs.
        StorageError: storage failed after retries.
        LockedError: another run is writing to the dataset.
    """
    edited = open_to_edit(dataset, "relabel", runner, processes, message)
    if not edited.manifest.settings.is_multi_label:
        require_one_class(corrections)
    present = _without_missing(edited, corrections) if ignore_missing else corrections
    labels = extend_label_map(edited.manifest.labels, present, allow_new=allow_new_classes)
    numbers = {name: number for number, name in enumerate(labels)}
    wanted = {key: tuple(sorted(numbers[name] for name in names)) for key, names in present.items()}
    selection = KeySelection(wanted)
    run = plan_edits(edited, edit_by_key(selection, wanted), labels)
    if missing := selection.missing():
        raise missing_keys(missing, path=edited.output.url)
    manifest = edited.manifest if dry_run else apply_edits(run, on_progress)
    report = report_edits(run, manifest, status="relabelled", dry_run=dry_run)
    return msgspec.structs.replace(report, missing=len(corrections) - len(present))


def _without_missing(edited: DatasetToEdit, corrections: Corrections) -> Corrections:
    """Return the corrections of records: the class of a missing key must not be added."""
    selection = KeySelection(corrections)
    for split, _, _, index in iter_indexes(edited.output, edited.manifest):
        selection.mask(split, index)
    missing = {*selection.missing()}
    return {key: names for key, names in corrections.items() if key not in missing}
