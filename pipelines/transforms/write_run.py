"""The steps of `WriteDataset` that need all rows: plan and publish.

The first one plans over all parts, and the last one publishes. Both hold the lock of the output,
but no process can hold it in between. So the first step announces a run, as a driver does: a later
pipeline that writes to the same output ends it, and the last step publishes only the current run.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec
from msgspec.structs import replace

from pipelines.clean import remove_run
from pipelines.fingerprints import read_fingerprints, save_fingerprints
from pipelines.incremental.append import discard_stale_run
from pipelines.options import ConvertOptions
from pipelines.planning.plan import make_fingerprint, make_plan
from pipelines.report import Report, read_report, report_finished
from pipelines.resume import check_unchanged, find_finished, prepare_output
from pipelines.run import Run
from pipelines.run_state import raise_failures, write_shard_plans
from pipelines.runners.base import ShardTask
from pipelines.runners.heartbeat import is_active, start_run, taken_over
from pipelines.sources.base import SourceFilter
from pipelines.transforms.parts import Part, list_parts, locate_parts, remove_parts
from pipelines.writing.convert_job import ConvertJob
from pipelines.writing.publish import (
    check_reject_limit_early,
    publish,
    read_published,
    report_result,
)
from pipelines.writing.results import collect_results
from pipelines.writing.shard import write_shard
from records.errors import LockedError, ShardmillError, StorageError
from records.format.metadata.description import Description
from records.runtime.cpu import available_cpus
from records.runtime.malloc import table_blocks_returned
from records.storage import FolderLock, Storage, absolute_location, open_storage
from records.storage.local import LocalStorage
from records.storage.names import WORK_FOLDER
from records.storage.work_folder import PARTS


class WriteOptions(msgspec.Struct, frozen=True):
    """The options of the user, and the images to select and the description that they name."""

    convert: ConvertOptions
    source_filter: SourceFilter
    description: Description | msgspec.UnsetType = msgspec.UNSET


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that the first step has planned.

    Attributes:
        run_id: a random ID.
        parts: the parts with the rows.
        labels: the label map.
        plan_digest: the digest of the plan.
        fingerprint: the digest of the fingerprints of all images.
        shards: the names of the shards to write.
        shards_kept: the number of shards that an interrupted run had finished.
        planned_at: the time of the plan, in seconds since the epoch.
        finished: the report of the dataset if it is complete already; otherwise None.
    """

    run_id: str
    parts: tuple[Part, ...]
    labels: tuple[str, ...]
    plan_digest: str
    fingerprint: str
    shards: tuple[str, ...] = ()
    shards_kept: int = 0
    planned_at: float = 0.0
    finished: Report | None = None


def begin_run(options: WriteOptions, parts: Sequence[Part]) -> PlannedRun:
    """Plan a dataset, and prepare its output.

    Resumes an interrupted run of the same rows; an interrupted run of other rows is removed.

    Raises:
        InputNotFoundError: there are no rows.
        UsageError: two rows differ, class names collide, or a requested split would be empty.
        TooManyRejectsError: more images are rejected before they are read than allowed.
        OutputError: the output cannot be written, or contains a dataset of different images or
            options, or a file of the user that has the name of a dataset file.
        LockedError: another run is writing to the output.
        StorageError: a part is missing, or storage failed after retries.
    """
    output = open_storage(options.convert.output)
    planned_at = time.time()
    with _parts_removed_on_error(output, parts):
        run = _plan(options, parts)
        plan = run.plan
        planned = PlannedRun(
            run_id=secrets.token_hex(8),
            parts=tuple(parts),
            labels=plan.labels,
            plan_digest=plan.digest,
            fingerprint=plan.fingerprint,
            planned_at=planned_at,
        )
        finished = _report_finished(run)
        if finished is None:
            with output.lock() as lock:
                # Another run may have published a dataset before this one got the lock.
                finished = _report_finished(run)
                if finished is None:
                    remove_parts(output, parts, others=True)
                    names = discard_stale_run(run, keep=PARTS)
                    shards_kept = prepare_output(run, names).shards_kept
                    check_reject_limit_early(run, lock=lock)
                    write_shard_plans(output, plan)
                    start_run(output, planned.run_id)
                    shards = tuple(shard.name for shard in plan.shards)
                    return replace(planned, shards=shards, shards_kept=shards_kept)
    return replace(planned, finished=finished)


def _report_finished(run: Run) -> Report | None:
    """Return the report of the dataset in the output if it is that of the plan."""
    finished = find_finished(run)
    if finished is None:
        return None
    check_unchanged(run)
    return report_finished(run, finished)


def make_task(options: WriteOptions, planned: PlannedRun) -> ShardTask:
    """Return the task that writes the shards of a planned run."""
    convert = options.convert
    output = absolute_location(convert.output)
    source, containers = locate_parts(output, planned.parts)
    job = ConvertJob(
        source=source,
        output=output,
        plans=output,
        labels=planned.labels,
        images=convert.settings().images,
        workers=convert.workers or available_cpus(),
        follow_symlinks=False,
        image_timeout=convert.image_timeout,
        containers=containers,
        plan_digest=planned.plan_digest,
        quality=convert.quality,
    )
    return ShardTask(partial(write_shard, job), output, planned.run_id, is_retried=True)


def finish_run(options: WriteOptions, planned: PlannedRun, written: Collection[str]) -> Report:
    """Publish a dataset whose shards are written, and remove the state of its run.

    If an earlier attempt has published the dataset, only the state is removed.

    Args:
        options: the options.
        planned: the run.
        written: the names of the shards that workers have written.

    Raises:
        TooManyRejectsError: more images were rejected than allowed; no dataset is published.
        LockedError: a later run has started to write to the output.
        ShardmillError: the recorded error of a shard.
    """
    output = open_storage(options.convert.output)
    _find_report(output, planned)
    with output.lock() as lock:
        report = _find_report(output, planned) or _publish(options, planned, written, lock)
        remove_run(output)
    return report


def _find_report(output: Storage, planned: PlannedRun) -> Report | None:
    """Return the report of a run if its dataset is published; None if it is the current run.

    The dataset was complete when the run began, or an earlier attempt of the last step has
    published it. Raises LockedError if a later run has started.
    """
    if planned.finished is not None:
        return planned.finished
    report = _read_published_report(output, planned)
    if is_active(output, planned.run_id):
        return report
    # The state is removed: this run has ended, or a later run with other files has replaced it. If
    # the fingerprints are lost, the plan decides: other files would have the same keys and sizes.
    saved = read_fingerprints(output)
    is_other = len(saved) > 0 and make_fingerprint(saved) != planned.fingerprint
    if report is None or is_other:
        raise taken_over(output)
    return report


def _read_published_report(output: Storage, planned: PlannedRun) -> Report | None:
    """Return the report of a published dataset with the plan of a run; None if there is none."""
    manifest, report = read_published(output), read_report(output)
    if manifest is None or report is None:
        return None
    digests = {report.plan_digest, manifest.generations[-1].plan_digest}
    return report if digests == {planned.plan_digest} else None


def _publish(
    options: WriteOptions, planned: PlannedRun, written: Collection[str], lock: FolderLock
) -> Report:
    missing = [name for name in planned.shards if name not in written]
    raise_failures(open_storage(options.convert.output), missing, planned.shards)
    seconds = max(0.0, time.time() - planned.planned_at)
    run = _plan(options, planned.parts, started_at=time.monotonic() - seconds)
    result = collect_results(run)
    report = report_result(run, result, shards_kept=planned.shards_kept)
    publish(run, result, report, lock=lock)
    save_fingerprints(run, result.stored)
    return report


@table_blocks_returned()
def _plan(options: WriteOptions, parts: Sequence[Part], started_at: float | None = None) -> Run:
    convert = options.convert
    sources = list_parts(parts, convert, options.source_filter)
    plan = make_plan(sources, replace(convert.settings(), columns=sources.columns or ()))
    return Run(
        convert,
        sources,
        plan,
        open_storage(convert.output),
        started_at=time.monotonic() if started_at is None else started_at,
        command="WriteDataset",
        description=options.description,
    )


@contextmanager
def _parts_removed_on_error(output: Storage, parts: Sequence[Part]) -> Iterator[None]:
    """Remove the parts after a permanent error: the next run stages its rows again."""
    try:
        yield
    except (LockedError, StorageError):
        raise
    except ShardmillError:
        remove_parts(output, parts)
        if isinstance(output, LocalStorage):
            output.remove_empty_folders(WORK_FOLDER)
        raise
