"""Removal of records: select, plan, copy the others, publish."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from functools import partial

import msgspec

from pipelines.clean import remove_run
from pipelines.edit.plan import plan_removal
from pipelines.edit.report import EditReport, report_removal
from pipelines.edit.selection import KeySelection, Select, missing_keys
from pipelines.edit.where import Condition
from pipelines.incremental.append import discard_stale_run, ensure_unchanged
from pipelines.options import ConvertOptions
from pipelines.resume import prepare_output
from pipelines.run import Run
from pipelines.run_state import has_state
from pipelines.runners import check_runner
from pipelines.writing.copy import COPY_COSTS, CopyJob, copy_shard
from pipelines.writing.publish import publish_edits
from pipelines.writing.results import ConversionResult, collect_results
from records.errors import UsageError
from records.format.edits import RemovedRecord, read_all_removed
from records.format.manifest import Counts, Manifest, read_manifest
from records.runtime.shard_worker import OnProgress, RunnerConfig
from records.storage import FolderLock, Storage, absolute_location, open_storage


def remove(
    dataset: str,
    *,
    keys: Collection[str] | None = None,
    where: str | None = None,
    ignore_missing: bool = False,
    runner: RunnerConfig | None = None,
    processes: int | None = None,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> EditReport:
    """Remove records from a dataset, in a new generation.

    Resumes an interrupted removal; does nothing if no record matches.

    Args:
        dataset: the path or URL of a dataset.
        keys: the keys of the records, as text.
        where: the condition of the records; see `Condition`. Exactly one of both is given.
        ignore_missing: whether keys that the dataset does not have are accepted.
        runner: the runner that copies shards; `local` by default.
        processes: the number of processes of the runner `local`; by default, it follows from the
            usable CPUs and the work.
        dry_run: whether to only report what would be removed.
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
    runner = runner or RunnerConfig()
    check_runner(runner, dataset, dataset)
    options = ConvertOptions(
        source=dataset,
        output=dataset,
        processes=processes,
        workers=1,
        runner=runner.name,
        beam_flags=runner.flags,
    )
    options.validate()
    output = open_storage(dataset)
    base = _open(output)
    selection = KeySelection(keys or ())
    select: Select = selection.mask if where is None else Condition(where, base).mask
    run = plan_removal(output, base, select, options, "remove")
    removed_before, missing = _explain_missing(output, base, selection.missing())
    if missing and not ignore_missing:
        raise missing_keys(missing, path=output.url)
    report = partial(report_removal, output, removed_before=removed_before, missing=len(missing))
    removed = run.sources.removed
    report = partial(
        report_removal,
        output,
        removed=removed,
        removed_before=removed_before,
        missing=len(missing),
    )
    if dry_run:
        return report(base, status="planned" if removed else "nothing-to-do")
    if not removed and not has_state(output):
        return report(base, status="nothing-to-do")
    with output.lock() as lock:
        # Another run may have published a generation before this one got the lock.
        ensure_unchanged(run)
        if removed:
            _write_and_publish(run, lock, on_progress)
        # The state may belong to a run that was killed after publication, or had a different plan.
        remove_run(output)
    if not removed:
        return report(base, status="nothing-to-do")
    return msgspec.structs.replace(
        report(read_manifest(output), status="removed"),
        shards_written=len(run.plan.shards),
        seconds=round(time.monotonic() - run.started_at, 3),
    )


def _open(output: Storage) -> Manifest:
    """Return the manifest of the dataset to edit. Raises as `remove`."""
    manifest = read_manifest(output)
    if manifest.adopted is not None:
        raise UsageError(
            "records of an adopted dataset cannot be removed: shardmill did not write them",
            path=output.url,
            hint="remove the images from their source, and write the TFRecord files again",
        )
    return manifest


def _explain_missing(
    output: Storage, base: Manifest, missing: list[str]
) -> tuple[list[RemovedRecord], list[str]]:
    """Return the records of keys that were removed before, and the keys that never existed."""
    if not missing:
        return [], []
    removed = {record.key: record for record in read_all_removed(output, base)}
    before = [removed[key] for key in missing if key in removed]
    return before, [key for key in missing if key not in removed]


def _write_and_publish(run: Run, lock: FolderLock, on_progress: OnProgress | None) -> None:
    discard_stale_run(run)
    prepare_output(run)
    dataset = absolute_location(run.options.output)
    division = run.divide_cpus(*COPY_COSTS)
    run.write_shards(partial(copy_shard, CopyJob(dataset, dataset)), division, on_progress)
    publish_edits(run, _without_copies(run, collect_results(run)), lock=lock)


def _without_copies(run: Run, result: ConversionResult) -> ConversionResult:
    """Return a result that counts no copied record: the run found and stored no file."""
    left_out = run.sources.left_out
    counts = Counts(
        found=len(left_out),
        stored=0,
        rejected=0,
        skipped=run.sources.skipped,
        excluded=run.sources.excluded,
    )
    return replace(result, counts=counts, encoders={})
