"""Conversion of a source: list, plan, prepare, write, collect, publish.

from pipelines.convert import convert
from pipelines.options import ConvertOptions

report = convert(ConvertOptions(source="photos", output="data", test=0.2))
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

import msgspec

from pipelines.clean import finish_run, remove_run
from pipelines.edit.plan import add_edits, require_records
from pipelines.edit.source_edits import find_source_edits
from pipelines.fingerprints import save_fingerprints
from pipelines.incremental.append import (
    discard_stale_run,
    ensure_unchanged,
    open_existing,
    read_existing_splits,
    resolve_settings,
    select_new,
)
from pipelines.incremental.class_renames import find_renames, renamed_labels
from pipelines.incremental.diff import SourceDiff
from pipelines.options import ConvertOptions
from pipelines.planning.plan import Plan, make_plan
from pipelines.report import Report, report_finished
from pipelines.resume import check_unchanged, find_finished, find_unfinished, prepare_output
from pipelines.run import Run
from pipelines.run_state import forget_order, has_state
from pipelines.runners import check_runner
from pipelines.sources import Sources, list_sources
from pipelines.sources.containers import ContainerFiles, NewCopies, open_images
from pipelines.sources.path_checks import check_locations
from pipelines.writing.convert_job import ConvertJob
from pipelines.writing.copy import CopyJob, write_or_copy_shard
from pipelines.writing.publish import (
    check_reject_limit_early,
    publish,
    report_dry_run,
    report_result,
)
from pipelines.writing.results import collect_results
from pipelines.writing.shard import estimate_costs, write_shard
from records.errors import InputNotFoundError, ShardmillError
from records.format.layout import MANIFEST
from records.format.manifest import Manifest, Settings
from records.format.metadata.card import GRID
from records.format.metadata.description import read_description
from records.runtime.logging import log_line
from records.runtime.malloc import table_blocks_returned
from records.runtime.processes import Division
from records.runtime.shard_worker import OnProgress, Worker
from records.runtime.telemetry import span
from records.storage import FolderLock, Storage, absolute_location, open_storage
from records.storage.work_folder import has_unfinished_run
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.urls import redact_location

_MOST_RETURNED_IMAGES = 100_000
"""The number of images up to which the driver has all indexes in memory: 10 MB."""


def convert(options: ConvertOptions, on_progress: OnProgress | None = None) -> Report:
    """Convert images to a dataset.

    Resumes an interrupted conversion; does nothing if the dataset is complete.

    Args:
        options: the source, the output, and the settings of the conversion.
        on_progress: a callback that receives the number of processed images and the total number.

    Raises:
        UsageError: an option or the source is invalid, or the dataset would have no records.
        InputNotFoundError: the source contains no images.
        TooManyRejectsError: more images were rejected than allowed; no dataset is published, unless
            the option `quarantine` is set.
        OutputError: the output cannot be written, or contains a dataset that was made from
            different images or options.
        StorageError: storage failed after retries.
        LockedError: another run is writing to the output.
    """
    with NewCopies(options.output) as copies:
        run = _list_and_plan(options, copies)
        report = _report_without_writing(run)
        if report is not None and (options.dry_run or not has_state(run.output)):
            return report
        with run.output.lock() as lock:
            # Another run may have published a dataset before this one got the lock.
            ensure_unchanged(run)
            report = _report_without_writing(run)
            if report is None:
                return _write_and_publish(run, lock, copies, on_progress)
            # The state belongs to a run that was killed after publication, or had another plan.
            remove_run(run.output)
        return report


@table_blocks_returned()
def _list_and_plan(options: ConvertOptions, copies: NewCopies) -> Run:
    started_at = time.monotonic()
    options.validate()
    check_locations(options.source, options.output)
    check_runner(options.runner_config, options.source, options.output)
    description = read_description(options.describe)
    output = open_storage(options.output)
    base = open_existing(output) if options.append else None
    settings = options.settings() if base is None else resolve_settings(options, base)
    options = options.with_settings(settings)
    if base is not None:
        renames = find_renames(options.rename_class, base)
    with span("list"):
        sources = list_sources(
            options,
            base and msgspec.structs.replace(base, labels=renames.labels),
            new_copies=copies if _needs_copies(options, output) else None,
        )
    settings = msgspec.structs.replace(settings, columns=sources.columns or ())
    if sources.understood is not None:
        listed = escape_for_display(redact_location(str(options.list or options.source)))
        log_line(f"{listed}: {sources.understood}")
    _require_images(sources, options)
    diff: SourceDiff | None = None
    with span("plan"):
        if base is None:
            plan = make_plan(sources, settings)
        else:
            renames.check_source(sources)
            diff = select_new(sources, output, base, options, renames)
            gone = options.accept_gone
            plan = _plan_generation(sources, settings, output, base, diff=diff, accept_gone=gone)
    return Run(options, sources, plan, output, base, diff, started_at, description=description)


def _plan_generation(
    sources: Sources,
    settings: Settings,
    output: Storage,
    base: Manifest,
    *,
    diff: SourceDiff,
    accept_gone: bool,
) -> Plan:
    """Return the plan of a generation that adds the new images of a source to a dataset."""
    plan = make_plan(
        sources,
        settings,
        existing=read_existing_splits(output, base),
        generation=base.generations[-1].number + 1,
    )
    edits = find_source_edits(output, base, plan.labels, diff, accept_gone=accept_gone)
    if edits is None:
        return plan
    require_records(output, base, edits, new=plan.images)
    sources.removed, sources.relabelled = edits.removed, edits.relabelled
    return add_edits(plan, edits)


def _needs_copies(options: ConvertOptions, output: Storage) -> bool:
    """Return whether a run surely writes shards, and all its workers read files of this machine."""
    is_local = output.is_local and not options.runner_config.needs_beam
    may_write = not options.append and not options.dry_run
    return is_local and may_write and output.stat(MANIFEST) is None


def _write_and_publish(
    run: Run, lock: FolderLock, copies: NewCopies, on_progress: OnProgress | None
) -> Report:
    names = discard_stale_run(run) if run.options.append else run.output.list()
    costs = estimate_costs(run.plan.settings.images, quality=run.options.quality)
    division = run.divide_cpus(*costs)
    # Workers on other machines may still write shards of a run that was removed.
    is_new = not (has_unfinished_run(names) or run.options.runner_config.needs_beam)
    # In a store, marks of shards take requests.
    in_order = is_new and division.processes == 1 and not run.output.is_local
    prepared = prepare_output(run, names, in_order=in_order)
    job = msgspec.structs.replace(
        _make_job(run, division),
        may_exist=not is_new,
        marks_shards=not in_order,
        crashed=prepared.crashed,
    )
    with _order_forgotten_on_error(run.output, lock) if in_order else nullcontext():
        check_reject_limit_early(run, lock=lock)
        _unpack_containers(run, copies)
        done = run.write_shards(partial(_make_worker, run, job), division, on_progress)
    result = collect_results(run, done)
    report = report_result(run, result, shards_kept=prepared.shards_kept)
    manifest = publish(run, result, report, lock=lock, replaced=prepared.replaced)
    save_fingerprints(run, result.stored)
    finish_run(run.output, manifest, has_grid=GRID in names)
    return report


@contextmanager
def _order_forgotten_on_error(output: Storage, lock: FolderLock) -> Iterator[None]:
    """Record after an error that no shard has crashed: otherwise the next run isolates one."""
    try:
        yield
    except BaseException:
        with suppress(ShardmillError):
            lock.ensure_held()  # otherwise the state is that of another run
            forget_order(output)
        raise


def _unpack_containers(run: Run, copies: NewCopies) -> None:
    """Write the copies of compressed containers that workers read. Raises as `write_copies`."""
    sources = run.sources
    if any(container.is_unpacked for container in sources.containers):
        follow_symlinks = run.options.follow_symlinks
        files = open_images(sources.location, sources.containers, follow_symlinks=follow_symlinks)
        if isinstance(files, ContainerFiles):
            with span("unpack"):
                files.unpack(run.output, copies)


def _make_job(run: Run, division: Division) -> ConvertJob:
    output, options = absolute_location(run.options.output), run.options
    # The driver need not read a small index from a store if a worker of this machine returns it.
    is_small = run.plan.images <= _MOST_RETURNED_IMAGES
    return ConvertJob(
        source=absolute_location(run.sources.location),
        output=output,
        plans=output,
        labels=run.plan.labels,
        images=run.plan.settings.images,
        workers=division.threads,
        follow_symlinks=options.follow_symlinks,
        image_timeout=options.image_timeout,
        containers=run.sources.containers,
        plan_digest=run.plan.digest,
        returns_index=is_small and not (run.output.is_local or options.runner_config.needs_beam),
        quality=options.quality,
    )


def _make_worker(run: Run, job: ConvertJob, plans: str) -> Worker:
    """Return the function that writes a shard: with images of the source, or with old records."""
    job = msgspec.structs.replace(job, plans=plans)
    if not run.plan.copies:
        return partial(write_shard, job)
    renamed = frozenset() if run.base is None else renamed_labels(run.base.labels, job.labels)
    copy = CopyJob(job.output, job.output, plans, job.labels, renamed)
    return partial(write_or_copy_shard, job, copy)


def _report_without_writing(run: Run) -> Report | None:
    """Return the report of a run that writes no shard; None if there are shards to write."""
    finished = _find_finished(run)
    if finished is not None:
        return report_finished(run, finished)
    if not run.options.dry_run:
        return None
    if not run.options.append:
        find_unfinished(run)
    return report_dry_run(run)


def _find_finished(run: Run) -> Manifest | None:
    """Return the manifest of the output if the dataset already has all images; otherwise None."""
    if run.base is not None:
        is_renamed = run.diff is not None and bool(run.diff.renames.names)
        if run.sources.images or run.sources.rejects or run.plan.replaced or is_renamed:
            return None
        if run.has_other_description(run.base):
            return None
        save_fingerprints(run)
        return run.base
    finished = find_finished(run)
    if finished is not None:
        check_unchanged(run)
    return finished


def _require_images(sources: Sources, options: ConvertOptions) -> None:
    if not sources.images and not sources.rejects:
        raise InputNotFoundError(
            "no images found",
            path=escape_for_display(options.source),
            expected="one folder per class, with images in it",
            got=f"{pluralize(sources.skipped, 'non-image file')}, "
            f"{pluralize(sources.excluded, 'excluded image')}",
        )
