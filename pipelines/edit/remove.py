"""Removal of records: select, plan, copy the others, publish."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import numpy as np

from pipelines.edit.apply import apply_edits, open_to_edit
from pipelines.edit.old_shards import find_old_shards
from pipelines.edit.plan import plan_edits
from pipelines.edit.report import EditReport, report_edits
from pipelines.edit.selection import KeySelection, Select, missing_keys
from pipelines.edit.where import Condition
from records.errors import UsageError
from records.format.edits import REMOVED, RemovedRecord
from records.format.index import Index
from records.format.layout import SplitName
from records.format.manifest import Manifest, shard_names
from records.runtime.shard_worker import OnProgress, RunnerConfig
from records.storage import Storage
from records.text.keys import key_from_text


def remove(
    dataset: str,
    *,
    keys: Collection[str] | None = None,
    where: str | None = None,
    ignore_missing: bool = False,
    runner: RunnerConfig | None = None,
    processes: int | None = None,
    dry_run: bool = False,
    message: str | None = None,
    on_progress: OnProgress | None = None,
) -> EditReport:
    """Remove records from a dataset, in a new generation.

    Resumes an interrupted removal; does nothing if no record matches. A key that `--accept-gone`
    removed is not added again after this, also if its file returns.

    Args:
        dataset: the path or URL of a dataset.
        keys: the keys of the records, as text.
        where: the condition of the records; see `Condition`. Exactly one of both is given.
        ignore_missing: whether keys that the dataset does not have are accepted.
        runner: the runner that copies shards; `local` by default.
        processes: the number of processes of the runner `local`; by default, it follows from the
            usable CPUs and the work.
        dry_run: whether to only report what would be removed.
        message: the reason for the new generation, for its provenance.
        on_progress: a callback that receives the number of copied records and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset, or it does not have one of the keys.
        UsageError: the condition is invalid, no record would be left, or another program wrote the
            records.
        CorruptDataError: a record, an index or a list of the dataset is damaged.
        OutputError: the dataset cannot be written to, or contains a file of the user with a name
            that the run needs.
        StorageError: storage failed after retries.
        LockedError: another run is writing to the dataset.
    """
    if (keys is None) == (where is None):
        raise UsageError("remove needs either --keys or --where")
    edited = open_to_edit(dataset, "remove", runner, processes, message)
    output, base = edited.output, edited.manifest
    selection = KeySelection(keys or ())
    select: Select = selection.mask if where is None else Condition(where, base).mask

    def edit(split: SplitName, index: Index) -> Mapping[int, None]:
        return dict.fromkeys(np.flatnonzero(select(split, index)).tolist())

    arguments = {} if where is None else {"where": where}
    run = plan_edits(edited, edit, base.labels, arguments)
    removed_before, missing = _explain_missing(output, base, selection.missing())
    if missing and not ignore_missing:
        raise missing_keys(missing, path=output.url)
    kept_out = [record for record in removed_before if record.deleted]
    run.sources.removed = _with_kept_out(run.sources.removed, kept_out)
    manifest = base if dry_run else apply_edits(run, on_progress)
    report = report_edits(run, manifest, status="removed", dry_run=dry_run)
    removed = [*run.sources.removed, *removed_before]
    kept = shard_names(base) - run.plan.replaced.keys()
    old = find_old_shards(output, base, removed, kept)
    return msgspec.structs.replace(
        report,
        removed_before=len(removed_before),
        missing=len(missing),
        old_shards=old.names,
        next=old.next,
    )


def _with_kept_out(
    removed: list[RemovedRecord], kept_out: list[RemovedRecord]
) -> list[RemovedRecord]:
    """Return the list of a generation in the order of the keys, also with records to keep out.

    Their files were missing when `--accept-gone` removed them: without this entry, an incremental
    run adds them again if their files return.
    """
    entries = (msgspec.structs.replace(it, deleted=False, earlier=True) for it in kept_out)
    return sorted([*removed, *entries], key=lambda record: key_from_text(record.key))


def _explain_missing(
    output: Storage, base: Manifest, missing: list[str]
) -> tuple[list[RemovedRecord], list[str]]:
    """Return the records of keys that were removed before, and the keys that never existed."""
    if not missing:
        return [], []
    removed = {record.key: record for record in REMOVED.read_all(output, base)}
    before = [removed[key] for key in missing if key in removed]
    return before, [key for key in missing if key not in removed]
