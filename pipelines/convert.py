"""A folder of labelled images to a dataset: plan, write every shard, publish the manifest.

from pipelines.convert import run
from pipelines.options import ConvertOptions

report = run(ConvertOptions(source="photos", target="data", test=0.2))
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import msgspec

from pipelines.commit import gather, make_report, publish
from pipelines.execute import OnProgress, write_shards
from pipelines.options import ConvertOptions
from pipelines.plan import Plan, make_plan
from pipelines.report import Report, Status, report_plan
from pipelines.resume import check_unchanged, find_finished, prepare_target
from pipelines.sources import Sources, find_sources
from records import layout
from records.errors import NoInputError, UsageError
from records.storage import Storage, is_url, open_storage
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
    _check_locations(options.source, options.target)
    sources = find_sources(options)
    _refuse_nothing(sources, options)
    plan = make_plan(sources, options.settings())
    conversion = _Conversion(options, sources, plan, open_storage(options.target), started_at)
    if (report := _look(conversion)) is not None:
        return report
    with conversion.target.lock():
        # Another run may have finished between the look and the lock.
        return _look(conversion) or _convert(conversion, on_progress)


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
    finished = find_finished(target, plan)
    if finished is None and not options.dry_run:
        return None
    status: Status = "planned" if finished is None else "nothing-to-do"
    report = report_plan(plan, conversion.sources, status=status, target=target.url)
    if finished is not None:
        report = msgspec.structs.replace(report, counts=finished.generations[-1].counts)
    if not options.dry_run:
        check_unchanged(target, plan, options, report)
    return report


def _convert(conversion: _Conversion, on_progress: OnProgress | None) -> Report:
    options, plan, target = conversion.options, conversion.plan, conversion.target
    kept = prepare_target(target, plan, options)
    write_shards(target, plan, options, on_progress)
    outcome = gather(target, plan, conversion.sources)
    report = make_report(plan, conversion.sources, outcome, options=options, target=target.url)
    seconds = time.monotonic() - conversion.started_at
    report = msgspec.structs.replace(
        report,
        shards_kept=kept,
        seconds=round(seconds, 3),
        images_per_second=round(plan.images / seconds, 1),
    )
    publish(target, plan, outcome, report)
    target.remove_folder(layout.WORK_FOLDER)
    return report


def _check_locations(source: str, target: str) -> None:
    if is_url(source) or is_url(target):
        if source.rstrip("/") == target.rstrip("/"):
            raise UsageError("source and target are the same folder", path=printable(source))
        return
    if os.path.isfile(source):  # noqa: PTH113 - a path may be any bytes
        kind = source.rpartition(".")[2].lower()
        archive = kind in {"zip", "tar", "gz", "tgz", "7z", "rar"}
        raise UsageError(
            "the source is a file, not a folder",
            path=printable(source),
            hint="unpack the archive first"
            if archive
            else "name the folder that has a folder a class in it",
        )
    inside = os.path.realpath(target) + "/"
    if inside.startswith(os.path.realpath(source) + "/"):
        raise UsageError(
            "the target lies inside the source",
            path=printable(target),
            hint="choose a target beside it",
        )


def _refuse_nothing(sources: Sources, options: ConvertOptions) -> None:
    if not sources.images and not sources.rejects:
        raise NoInputError(
            "there are no images here",
            path=printable(options.source),
            expected="a folder a class, with its images in it",
            got=f"{sources.skipped} other files, {sources.excluded} images excluded",
        )
