"""A folder of labelled images to a dataset: plan, write every shard, publish the manifest.

from pipelines.convert import run
from pipelines.options import ConvertOptions

report = run(ConvertOptions(source="photos", target="data", test=0.2))
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import msgspec

from pipelines import work_folder
from pipelines.commit import gather, make_report, publish, read_rejects, refuse_listed_rejects
from pipelines.execute import BeamRunner, OnProgress, probe, run_over
from pipelines.locations import check_locations
from pipelines.options import ConvertOptions
from pipelines.plan import Plan, make_plan
from pipelines.report import Report, report_finished, report_plan
from pipelines.resume import (
    check_unchanged,
    find_finished,
    look_for_unfinished,
    prepare_target,
)
from pipelines.sources import Sources, find_sources
from pipelines.work_folder import has_work
from pipelines.write import Job, write_shard
from records import layout
from records.errors import NoInputError
from records.storage import Hold, Storage, absolute_location, open_storage
from records.text import printable


def run(options: ConvertOptions, on_progress: OnProgress | None = None) -> Report:
    """Convert, or go on with a conversion that was killed, or find that there is nothing to do.

    Raises:
        UsageError: an option or the source is not what it must be.
        NoInputError: there is nothing to convert.
        TooManyRejectsError: more images were rejected than allowed; nothing is published.
        TargetError: the target cannot be written, or holds another dataset.
        StorageError: storage failed after retries.
        BusyError: another run is writing there.
    """
    started_at = time.monotonic()
    options.validate()
    check_locations(options.source, options.target)
    _runner(options).check()
    sources = find_sources(options)
    _refuse_nothing(sources, options)
    plan = make_plan(sources, options.settings())
    conversion = _Conversion(options, sources, plan, open_storage(options.target), started_at)
    report = _look(conversion)
    if report is not None and (options.dry_run or not has_work(conversion.target)):
        return report
    with conversion.target.lock() as hold:
        # Another run may have finished between the look and the lock.
        report = _look(conversion) or _convert(conversion, hold, on_progress)
        # Also where a run was killed between its manifest and the end of this.
        conversion.target.remove_folder(layout.WORK_FOLDER)
    return report


@dataclass(frozen=True)
class _Conversion:
    """What is known once the plan is made; `started_at` is on the monotonic clock, in seconds."""

    options: ConvertOptions
    sources: Sources
    plan: Plan
    target: Storage
    started_at: float


def _look(conversion: _Conversion) -> Report | None:
    """The report of a run that writes no shard, None where there is something to write."""
    options, plan, target = conversion.options, conversion.plan, conversion.target
    if (finished := find_finished(target, plan)) is not None:
        check_unchanged(target, plan, options)
        return report_finished(finished, read_rejects(target), plan, target=target.url)
    if not options.dry_run:
        return None
    look_for_unfinished(target, plan)
    refuse_listed_rejects(target, plan, conversion.sources, options)
    return report_plan(plan, conversion.sources, status="planned", target=target.url)


def _convert(conversion: _Conversion, hold: Hold, on_progress: OnProgress | None) -> Report:
    options, plan, target = conversion.options, conversion.plan, conversion.target
    kept = prepare_target(target, plan, options)
    refuse_listed_rejects(target, plan, conversion.sources, options, hold=hold)
    _write_shards(target, plan, options, on_progress)
    outcome = gather(target, plan, conversion.sources)
    report = make_report(plan, conversion.sources, outcome, options=options, target=target.url)
    seconds = time.monotonic() - conversion.started_at
    report = msgspec.structs.replace(
        report,
        shards_kept=kept,
        seconds=round(seconds, 3),
        images_per_second=round(plan.images / seconds, 1),
    )
    publish(target, plan, outcome, report, hold=hold)
    return report


def _write_shards(
    target: Storage, plan: Plan, options: ConvertOptions, on_progress: OnProgress | None
) -> None:
    """Write every shard of the plan that is not there yet."""
    job = Job(
        source=absolute_location(options.source),
        target=absolute_location(options.target),
        labels=plan.labels,
        images=options.images,
        workers=options.workers,
    )
    names = [shard.name for shard in plan.shards]
    failure = run_over(
        names,
        partial(write_shard, job),
        job.target,
        _runner(options),
        images=plan.images,
        on_progress=on_progress,
    )
    # A retry may have mended what failed: then there is an index.
    missing = [name for name in names if target.facts(layout.index_name(name)) is None]
    work_folder.raise_failures(target, missing, names)
    if failure is not None:
        probe(target)
        raise failure


def _runner(options: ConvertOptions) -> BeamRunner:
    return BeamRunner(options.runner, options.beam_flags)


def _refuse_nothing(sources: Sources, options: ConvertOptions) -> None:
    if not sources.images and not sources.rejects:
        raise NoInputError(
            "there are no images here",
            path=printable(options.source),
            expected="a folder a class, with its images in it",
            got=f"{sources.skipped} other files, {sources.excluded} images excluded",
        )
