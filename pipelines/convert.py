"""A folder of labelled images to a dataset: plan, write every shard, publish the manifest.

    from pipelines.convert import run
    from pipelines.options import ConvertOptions

    report = run(ConvertOptions(source="photos", target="data", test=0.2))
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable

import msgspec

from pipelines import work_folder
from pipelines.changes import changed_shards
from pipelines.commit import DATASET_FILES, gather, make_report, publish
from pipelines.options import ConvertOptions
from pipelines.plan import Plan, make_plan
from pipelines.progress import forget, progress_of
from pipelines.report import Report, report_plan
from pipelines.source_files import open_source
from pipelines.sources import Sources, find_sources
from pipelines.write import Job
from records import layout
from records.errors import NoInputError, TargetError, UsageError
from records.images import encoder_versions
from records.layout import index_name
from records.manifest import Manifest, read_manifest
from records.storage import Storage, is_url, open_storage
from records.text import printable

OnProgress = Callable[[int, int], None]
"""Called now and then with images done and images planned."""

_LOOK_SECONDS = 0.1


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
    started = time.monotonic()
    options.validate()
    _check_locations(options.source, options.target)
    sources = find_sources(options)
    _refuse_nothing(sources, options)
    plan = make_plan(sources, options.settings())
    target = open_storage(options.target)
    if options.dry_run:
        return _dry_run(plan, sources, target)
    if (done := _nothing_to_do(plan, sources, target, options)) is not None:
        return done
    with target.lock():
        # Another run may have finished between the look above and the lock.
        if (done := _nothing_to_do(plan, sources, target, options)) is not None:
            return done
        kept = _prepare(target, plan, options)
        _write_shards(target, plan, options, on_progress)
        outcome = gather(target, plan, sources)
        allowed = options.allowed_rejects(outcome.counts.stored + outcome.counts.rejected)
        report = make_report(
            plan, sources, outcome, target=target.url, allowed_rejects=allowed
        )
        seconds = time.monotonic() - started
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


def _dry_run(plan: Plan, sources: Sources, target: Storage) -> Report:
    manifest = _present_manifest(target)
    if manifest is not None and not _is_same_plan(manifest, plan):
        raise _taken(target)
    status = "planned" if manifest is None else "nothing-to-do"
    return report_plan(plan, sources, status=status, target=target.url)


def _present_manifest(target: Storage) -> Manifest | None:
    return read_manifest(target) if target.facts(layout.MANIFEST) is not None else None


def _is_same_plan(manifest: Manifest, plan: Plan) -> bool:
    return manifest.generations[-1].plan_digest == plan.digest


def _nothing_to_do(
    plan: Plan, sources: Sources, target: Storage, options: ConvertOptions
) -> Report | None:
    """A report where the target holds this very dataset, None where it holds none.

    Raises:
        TargetError: it holds another one, or the sources changed since.
    """
    manifest = _present_manifest(target)
    if manifest is None:
        return None
    if not _is_same_plan(manifest, plan):
        raise _taken(target)
    report = report_plan(plan, sources, status="nothing-to-do", target=target.url)
    report = msgspec.structs.replace(report, counts=manifest.generations[-1].counts)
    if _kept_stamp(target) != plan.stamp:
        files = open_source(options.source)
        for _, key in changed_shards(target, plan.shards, files, threads=options.workers):
            raise TargetError(
                "the dataset here was made from other bytes: a source file changed since",
                path=target.url,
                got=key,
                hint="choose another target to convert what is there now",
            )
        target.replace(layout.REPORT, msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return report


def _kept_stamp(target: Storage) -> str | None:
    try:
        return msgspec.json.decode(target.read(layout.REPORT), type=Report).stamp
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _taken(target: Storage) -> TargetError:
    return TargetError(
        "the target holds a dataset of another plan (other images or other options)",
        path=target.url,
        hint="choose another target, or remove this one yourself",
    )


def _prepare(target: Storage, plan: Plan, options: ConvertOptions) -> int:
    """Make the target ready for this plan; the number of shards an earlier run left finished.

    Raises:
        TargetError: something else is there: another unfinished run, or files of other origin.
    """
    encoders = encoder_versions()
    # Under the lock nobody else stages anything: what lies here is a dead run's.
    target.remove_folder(f"{layout.WORK_FOLDER}/staging")
    unfinished = work_folder.read_run(target)
    if unfinished is None:
        _refuse_foreign_files(target, plan)
        work_folder.write_run(target, plan, encoders)
        return 0
    if unfinished.plan_digest != plan.digest:
        raise TargetError(
            "an unfinished run with another plan (other images or other options) is here",
            path=target.url,
            hint="run it again as it was, or remove it with `shardmill clean`",
        )
    if unfinished.encoders != encoders:
        raise TargetError(
            "an unfinished run was begun with other versions of the image libraries",
            path=target.url,
            expected=_differences(unfinished.encoders, encoders),
            got=_differences(encoders, unfinished.encoders),
            hint="go on with those versions, or remove it with `shardmill clean` and begin anew",
        )
    if unfinished.stamp != plan.stamp:
        _drop_changed(target, plan, options)
        work_folder.write_run(target, plan, encoders)
    work_folder.forget_failures(target)
    return sum(target.facts(index_name(shard.name)) is not None for shard in plan.shards)


def _differences(these: dict[str, str], others: dict[str, str]) -> str:
    return ", ".join(f"{k} {v}" for k, v in sorted(these.items()) if others.get(k) != v) or "none"


def _refuse_foreign_files(target: Storage, plan: Plan) -> None:
    shards = [shard.name for shard in plan.shards]
    ours = {*shards, *map(index_name, shards), *DATASET_FILES}
    for name in target.list():
        if name in ours:
            raise TargetError(
                "a file of this name is there already, and no unfinished run of ours is",
                path=target.describe(name),
                hint="move it away, or choose another target",
            )


def _drop_changed(target: Storage, plan: Plan, options: ConvertOptions) -> None:
    """Remove finished shards whose sources were rewritten since, and those without an index."""
    files = open_source(options.source)
    changed = changed_shards(target, plan.shards, files, threads=options.workers)
    for shard, _ in list(changed):
        target.remove(index_name(shard.name))
    for shard in plan.shards:
        if target.facts(index_name(shard.name)) is None:
            target.remove(shard.name)


def _write_shards(
    target: Storage, plan: Plan, options: ConvertOptions, on_progress: OnProgress | None
) -> None:
    run_id = secrets.token_hex(8)
    job = Job(
        source=options.source if is_url(options.source) else os.path.realpath(options.source),
        target=options.target if is_url(options.target) else os.path.realpath(options.target),
        labels=plan.labels,
        images=options.images,
        workers=options.workers,
        run_id=run_id,
    )
    try:
        failure = _run_beside(job, plan, options, on_progress)
    finally:
        forget(run_id)
    for error in work_folder.read_failures(target, plan.shards):
        raise error
    if failure is not None:
        _probe(target)
        raise failure


def _run_beside(
    job: Job, plan: Plan, options: ConvertOptions, on_progress: OnProgress | None
) -> Exception | None:
    """Run the pipeline on a thread, for it blocks; what it failed of, if it did."""
    progress = progress_of(job.run_id)
    failures: list[Exception] = []

    def work() -> None:
        try:
            # Beam takes 2 s to import: only now, when there is something to do.
            from pipelines.runners import run_pipeline

            names = [shard.name for shard in plan.shards]
            run_pipeline(job, names, options.runner, options.beam_flags)
        except Exception as error:  # noqa: BLE001 - told to the thread that waits
            failures.append(error)

    thread = threading.Thread(target=work, name="pipeline", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            if on_progress is not None:
                on_progress(progress.images, plan.images)
    except BaseException:
        # Ctrl-C or SIGTERM: what is staged goes, what is finished stays, for the next run.
        progress.cancel()
        thread.join()
        raise
    return failures[0] if failures else None


def _probe(target: Storage) -> None:
    """Tell a target that cannot be written from other failures, of which Beam says too little."""
    name = f"{layout.WORK_FOLDER}/probe"
    target.replace(name, bytes(1 << 16))
    target.remove(name)


