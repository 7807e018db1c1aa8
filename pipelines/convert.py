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

from pipelines.append import drop_other_run, keep_settings, read_base, require_base, take_new
from pipelines.clean import drop_run
from pipelines.commit import make_report, publish, refuse_listed_rejects
from pipelines.comparison import Comparison
from pipelines.execute import BeamRunner, OnProgress
from pipelines.locations import check_locations
from pipelines.options import ConvertOptions
from pipelines.outcome import gather
from pipelines.plan import Plan, make_plan
from pipelines.report import Report, report_comparison, report_finished, report_plan
from pipelines.resume import (
    check_unchanged,
    find_finished,
    look_for_unfinished,
    prepare_target,
)
from pipelines.sources import Sources, find_sources
from pipelines.stamps import write_stamps
from pipelines.work_folder import has_work
from pipelines.write import Job, write_shard
from pipelines.write_all import write_all
from records.errors import NoInputError
from records.manifest import Manifest
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
    _runner(options).check(options.source, options.target)
    conversion = _prepare(options, started_at)
    report = _look(conversion)
    if report is not None and (options.dry_run or not has_work(conversion.target)):
        return report
    with conversion.target.lock() as hold:
        # Another run may have finished between the look and the lock.
        require_base(conversion.target, conversion.base)
        report = _look(conversion) or _convert(conversion, hold, on_progress)
        # Also of one that was killed between its manifest and this, or wanted what is gone by now.
        drop_run(conversion.target)
    return report


@dataclass(frozen=True)
class _Conversion:
    """What is known once the plan is made.

    Attributes:
        options: what is asked for.
        sources: what there is to convert.
        plan: what is to be done.
        target: where to.
        base: the manifest of the dataset that is added to, if one is.
        comparison: what of the source that dataset knows.
        started_at: on the monotonic clock, seconds.
    """

    options: ConvertOptions
    sources: Sources
    plan: Plan
    target: Storage
    base: Manifest | None
    comparison: Comparison | None
    started_at: float

    def keep_stamps(self) -> None:
        """Keep for the next night which files were seen as they were stored."""
        found = self.comparison
        if found is not None and found.stamps is not None and not self.options.dry_run:
            write_stamps(self.target, found.stamps)

    def tell(self, report: Report) -> Report:
        """The report, with what the source has no more as it was stored."""
        found = self.comparison
        return report if found is None else report_comparison(report, found.changed, found.gone)


def _prepare(options: ConvertOptions, started_at: float) -> _Conversion:
    target = open_storage(options.target)
    base = read_base(target) if options.append else None
    sources = find_sources(options, None if base is None else base.labels)
    _refuse_nothing(sources, options)
    if base is None:
        plan = make_plan(sources, options.settings())
        return _Conversion(options, sources, plan, target, None, None, started_at)
    comparison = take_new(sources, target, base, options)
    number = base.generations[-1].number + 1
    settings = keep_settings(options, base)
    plan = make_plan(sources, settings, kept=base.cut_offs, generation=number)
    return _Conversion(options, sources, plan, target, base, comparison, started_at)


def _look(conversion: _Conversion) -> Report | None:
    """The report of a run that writes no shard, None where there is something to write."""
    options, plan, target = conversion.options, conversion.plan, conversion.target
    if (finished := _find_finished(conversion)) is not None:
        return conversion.tell(report_finished(finished, target, plan))
    if not options.dry_run:
        return None
    if not options.append:
        look_for_unfinished(target, plan)
    refuse_listed_rejects(target, plan, conversion.sources, options)
    planned = report_plan(plan, conversion.sources, status="planned", target=target.url)
    return conversion.tell(planned)


def _find_finished(conversion: _Conversion) -> Manifest | None:
    """The manifest of a dataset that has everything already, None where something is to be done."""
    options, plan, target = conversion.options, conversion.plan, conversion.target
    if conversion.base is not None:
        if conversion.sources.images or conversion.sources.rejects:
            return None
        conversion.keep_stamps()
        return conversion.base
    finished = find_finished(target, plan)
    if finished is not None:
        check_unchanged(target, plan, options)
    return finished


def _convert(conversion: _Conversion, hold: Hold, on_progress: OnProgress | None) -> Report:
    options, plan, target = conversion.options, conversion.plan, conversion.target
    if options.append:
        drop_other_run(target, plan)
    kept = prepare_target(target, plan, options, conversion.base)
    refuse_listed_rejects(target, plan, conversion.sources, options, hold=hold)
    worker = partial(write_shard, _job(plan, options))
    write_all(plan, worker, options.target, _runner(options), on_progress)
    outcome = gather(target, plan, conversion.sources)
    report = make_report(plan, conversion.sources, outcome, options=options, target=target.url)
    report = conversion.tell(report)
    seconds = time.monotonic() - conversion.started_at
    report = msgspec.structs.replace(
        report,
        shards_kept=kept,
        seconds=round(seconds, 3),
        images_per_second=round(plan.images / seconds, 1),
    )
    publish(target, plan, outcome, report, hold=hold, base=conversion.base)
    conversion.keep_stamps()
    return report


def _job(plan: Plan, options: ConvertOptions) -> Job:
    return Job(
        source=absolute_location(options.source),
        target=absolute_location(options.target),
        labels=plan.labels,
        images=plan.settings.images,
        workers=options.workers,
    )


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
