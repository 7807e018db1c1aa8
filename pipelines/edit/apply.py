"""Steps that the commands that edit a dataset share: open, write, publish."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pipelines.clean import remove_run
from pipelines.edit.plan import DatasetToEdit, has_edits
from pipelines.fingerprints import add_stored
from pipelines.incremental.append import (
    discard_stale_run,
    ensure_unchanged,
    require_own_records,
)
from pipelines.options import ConvertOptions
from pipelines.report import count_files
from pipelines.resume import prepare_output
from pipelines.run import Run
from pipelines.run_state import has_state
from pipelines.runners import check_runner
from pipelines.writing.copy import COPY_COSTS, CopyJob, copy_shard
from pipelines.writing.publish import publish_edits
from pipelines.writing.results import ConversionResult, collect_results
from records.format.manifest import Manifest, read_manifest
from records.generations import require_whole_dataset
from records.runtime.shard_worker import OnProgress, RunnerConfig
from records.storage import FolderLock, absolute_location, open_storage
from records.storage.work_folder import Command, unfinished_command


def open_to_edit(
    location: str,
    command: Command,
    runner: RunnerConfig | None,
    processes: int | None,
    message: str | None,
) -> DatasetToEdit:
    """Return a dataset to edit.

    Args:
        location: the path or URL of the dataset.
        command: the command that edits it.
        runner: the runner that copies shards; `local` by default.
        processes: the number of processes of the runner `local`; None for the default.
        message: the reason for the new generation; None for none.

    Raises:
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: the manifest is damaged.
        UsageError: the runner cannot be used, `location` is an earlier generation, or the dataset
            is adopted: another program wrote its records.
    """
    require_whole_dataset(location)
    runner = runner or RunnerConfig()
    check_runner(runner, location, location)
    options = ConvertOptions(
        source=location,
        output=location,
        processes=processes,
        workers=1,
        runner=runner.name,
        beam_flags=runner.flags,
        message=message,
    )
    options.validate()
    output = open_storage(location)
    manifest = read_manifest(output)
    what = "records of an adopted dataset cannot be edited: shardmill did not write them"
    require_own_records(manifest, output.url, what, "edit")
    return DatasetToEdit(output, manifest, options, command)


def apply_edits(run: Run, on_progress: OnProgress | None) -> Manifest:
    """Write and publish the generation of a plan, if it has edits, and remove its state.

    Returns:
        The manifest of the dataset after the run.

    Raises:
        CorruptDataError: a record of the dataset is damaged.
        OutputError: the dataset cannot be written to, or contains a file of the user with a name
            that the run needs.
        StorageError: storage failed after retries.
        LockedError: another run is writing to the dataset, or has changed it.
    """
    assert run.base is not None  # an edit needs a dataset
    if not has_edits(run) and not _has_own_state(run):
        return run.base
    with run.output.lock() as lock:
        # Another run may have published a generation before this one got the lock.
        ensure_unchanged(run)
        manifest = _write_and_publish(run, lock, on_progress) if has_edits(run) else run.base
        # The state may belong to a run that was killed after publication, or had a different plan.
        remove_run(run.output)
    return manifest


def _has_own_state(run: Run) -> bool:
    """Return whether there is the state of a run of this command.

    That of another command can be resumed: without edits, it stays.
    """
    return has_state(run.output) and unfinished_command(run.output) in {None, run.command}


def _write_and_publish(run: Run, lock: FolderLock, on_progress: OnProgress | None) -> Manifest:
    prepare_output(run, discard_stale_run(run))
    dataset = absolute_location(run.options.output)
    division = run.divide_cpus(*COPY_COSTS)
    labels = run.plan.labels
    run.write_shards(
        lambda plans: partial(copy_shard, CopyJob(dataset, dataset, plans, labels)),
        division,
        on_progress,
    )
    result = collect_results(run)
    manifest = publish_edits(run, _without_copies(run, result), lock=lock)
    add_stored(run.output, result.stored)
    return manifest


def _without_copies(run: Run, result: ConversionResult) -> ConversionResult:
    """Return a result that counts no copied record: the run found and stored no file."""
    return replace(result, counts=count_files(run.sources, stored=0, rejected=0), encoders={})
