"""A folder of labelled images to a dataset: plan, write every shard, publish the manifest.

from pipelines.convert import convert
from pipelines.options import ConvertOptions

report = convert(ConvertOptions(source="photos", output="data", test=0.2))
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import msgspec

from pipelines.clean import remove_run
from pipelines.incremental.append import (
    discard_stale_run,
    ensure_unchanged,
    open_existing,
    resolve_settings,
    select_new,
)
from pipelines.incremental.diff import SourceDiff
from pipelines.incremental.fingerprints import write_fingerprints
from pipelines.options import ConvertOptions
from pipelines.planning.plan import Plan, make_plan
from pipelines.report import Report, report_comparison, report_finished, report_plan
from pipelines.resume import (
    check_unchanged,
    find_finished,
    find_unfinished,
    prepare_output,
)
from pipelines.run_state import has_state
from pipelines.runners.local import OnProgress, RunnerConfig
from pipelines.sources import Sources, list_sources
from pipelines.sources.path_checks import check_locations
from pipelines.writing.publish import check_reject_limit_early, make_report, publish
from pipelines.writing.results import collect_results
from pipelines.writing.shard import ConvertJob, write_shard
from pipelines.writing.write_all import write_all
from records.errors import InputNotFoundError
from records.format.manifest import Manifest
from records.runtime.malloc import return_freed_memory
from records.storage import FolderLock, Storage, absolute_location, open_storage
from records.text.escaping import escape_for_display

# A batch of a plan's rows takes some tens of kB a column.
LARGE_BYTES = 32 << 10


def convert(options: ConvertOptions, on_progress: OnProgress | None = None) -> Report:
    """Convert, or go on with a conversion that was killed, or find that there is nothing to do.

    Raises:
        UsageError: an option or the source is not what it must be.
        InputNotFoundError: there is nothing to convert.
        TooManyRejectsError: more images were rejected than allowed; nothing is published.
        OutputError: the output cannot be written, or holds another dataset.
        StorageError: storage failed after retries.
        LockedError: another run is writing there.
    """
    started_at = time.monotonic()
    options.validate()
    check_locations(options.source, options.output)
    _runner(options).check(options.source, options.output)
    with return_freed_memory(LARGE_BYTES):
        conversion = _prepare(options, started_at)
    report = _finished_or_dry(conversion)
    if report is not None and (options.dry_run or not has_state(conversion.output)):
        return report
    with conversion.output.lock() as hold:
        # Another run may have finished between the look and the lock.
        ensure_unchanged(conversion.output, conversion.base)
        report = _finished_or_dry(conversion) or _convert(conversion, hold, on_progress)
        # Also of one that was killed between its manifest and this, or wanted what is gone by now.
        remove_run(conversion.output)
    return report


@dataclass(frozen=True)
class _Conversion:
    """What is known once the plan is made.

    Attributes:
        options: what is asked for.
        sources: what there is to convert.
        plan: what is to be done.
        output: where to.
        base: the manifest of the dataset that is added to, if one is.
        comparison: what of the source that dataset knows.
        started_at: on the monotonic clock, seconds.
    """

    options: ConvertOptions
    sources: Sources
    plan: Plan
    output: Storage
    base: Manifest | None
    comparison: SourceDiff | None
    started_at: float

    def save_fingerprints(self) -> None:
        """Keep for the next night which files were seen as they were stored."""
        found = self.comparison
        if found is not None and found.stamps is not None and not self.options.dry_run:
            write_fingerprints(self.output, found.stamps)

    def tell(self, report: Report) -> Report:
        """The report, with what the source has no more as it was stored."""
        found = self.comparison
        return report if found is None else report_comparison(report, found.changed, found.gone)


def _prepare(options: ConvertOptions, started_at: float) -> _Conversion:
    output = open_storage(options.output)
    base = open_existing(output) if options.append else None
    sources = list_sources(options, None if base is None else base.labels)
    _require_images(sources, options)
    if base is None:
        plan = make_plan(sources, options.settings())
        return _Conversion(options, sources, plan, output, None, None, started_at)
    comparison = select_new(sources, output, base, options)
    number = base.generations[-1].number + 1
    settings = resolve_settings(options, base)
    plan = make_plan(sources, settings, kept=base.thresholds, generation=number)
    return _Conversion(options, sources, plan, output, base, comparison, started_at)


def _finished_or_dry(conversion: _Conversion) -> Report | None:
    """The report of a run that writes no shard, None where there is something to write."""
    options, plan, output = conversion.options, conversion.plan, conversion.output
    if (finished := _find_finished(conversion)) is not None:
        return conversion.tell(report_finished(finished, output, plan))
    if not options.dry_run:
        return None
    if not options.append:
        find_unfinished(output, plan)
    check_reject_limit_early(output, plan, conversion.sources, options)
    planned = report_plan(plan, conversion.sources, status="planned", output=output.url)
    return conversion.tell(planned)


def _find_finished(conversion: _Conversion) -> Manifest | None:
    """The manifest of a dataset that has everything already, None where something is to be done."""
    options, plan, output = conversion.options, conversion.plan, conversion.output
    if conversion.base is not None:
        if conversion.sources.images or conversion.sources.rejects:
            return None
        conversion.save_fingerprints()
        return conversion.base
    finished = find_finished(output, plan)
    if finished is not None:
        check_unchanged(output, plan, options)
    return finished


def _convert(conversion: _Conversion, hold: FolderLock, on_progress: OnProgress | None) -> Report:
    options, plan, output = conversion.options, conversion.plan, conversion.output
    if options.append:
        discard_stale_run(output, plan)
    kept = prepare_output(output, plan, options, conversion.base)
    check_reject_limit_early(output, plan, conversion.sources, options, hold=hold)
    worker = partial(write_shard, _job(plan, options))
    write_all(plan, worker, options.output, _runner(options), on_progress)
    outcome = collect_results(output, plan, conversion.sources)
    report = make_report(plan, conversion.sources, outcome, options=options, output=output.url)
    report = conversion.tell(report)
    seconds = time.monotonic() - conversion.started_at
    report = msgspec.structs.replace(
        report,
        shards_kept=kept,
        seconds=round(seconds, 3),
        images_per_second=round(plan.images / seconds, 1),
    )
    publish(output, plan, outcome, report, hold=hold, base=conversion.base)
    conversion.save_fingerprints()
    return report


def _job(plan: Plan, options: ConvertOptions) -> ConvertJob:
    return ConvertJob(
        source=absolute_location(options.source),
        output=absolute_location(options.output),
        labels=plan.labels,
        images=plan.settings.images,
        workers=options.workers,
    )


def _runner(options: ConvertOptions) -> RunnerConfig:
    return RunnerConfig(options.runner, options.beam_flags)


def _require_images(sources: Sources, options: ConvertOptions) -> None:
    if not sources.images and not sources.rejects:
        raise InputNotFoundError(
            "there are no images here",
            path=escape_for_display(options.source),
            expected="a folder a class, with its images in it",
            got=f"{sources.skipped} other files, {sources.excluded} images excluded",
        )
