"""Compaction of all generations of a dataset into a new dataset."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import msgspec

from pipelines.clean import remove_run
from pipelines.compact.records import list_records
from pipelines.fingerprints import StoredFiles, copy_fingerprints
from pipelines.options import ConvertOptions
from pipelines.planning.existing_splits import existing_splits
from pipelines.planning.plan import make_plan
from pipelines.report import Report, report_finished, report_plan, report_splits
from pipelines.resume import find_finished, prepare_output
from pipelines.run import Run
from pipelines.runners import check_runner
from pipelines.sources.path_checks import check_output
from pipelines.writing.copy import COPY_COSTS, CopyJob, copy_shard
from pipelines.writing.publish import publish
from pipelines.writing.results import collect_results, merge_splits
from records.dataset import Dataset, open_dataset
from records.format.manifest import Manifest
from records.runtime.malloc import table_blocks_returned
from records.runtime.shard_worker import OnProgress, RunnerConfig
from records.runtime.telemetry import span
from records.storage import FolderLock, absolute_location, open_storage
from records.storage.exclusive import require_outside


def compact_to_new(
    dataset: str,
    output: str,
    *,
    runner: RunnerConfig,
    processes: int | None,
    dry_run: bool,
    message: str | None,
    on_progress: OnProgress | None,
) -> Report:
    """Copy all generations of a dataset into a new dataset; see `compact`."""
    check_output(output)
    opened = open_dataset(dataset)
    require_outside(output, opened.location)
    check_runner(runner, dataset, output)
    options = ConvertOptions(
        source=dataset,
        output=output,
        processes=processes,
        workers=1,
        runner=runner.name,
        beam_flags=runner.flags,
        message=message,
    )
    options.validate()
    run = _list_and_plan(opened, options)
    if dry_run:
        return report_plan(run, status="planned")
    with run.output.lock() as lock:
        finished = find_finished(run)
        if finished is None:
            report, stored = _write_and_publish(run, opened.manifest, lock, on_progress)
        else:
            report, stored = report_finished(run, finished), None
        copy_fingerprints(opened, run.output, is_new=finished is None, stored=stored)
        remove_run(run.output)
    return report


@table_blocks_returned()
def _list_and_plan(opened: Dataset, options: ConvertOptions) -> Run:
    started_at = time.monotonic()
    manifest = opened.manifest
    with span("list"):
        sources = list_records(opened.storage, manifest)
    with span("plan"):
        existing = existing_splits(manifest)
        plan = make_plan(sources, manifest.settings, existing=existing, is_split=True)
    output = open_storage(options.output)
    return Run(
        options,
        sources,
        plan,
        output,
        started_at=started_at,
        command="compact",
        description=manifest.description,
    )


def _write_and_publish(
    run: Run, compacted: Manifest, lock: FolderLock, on_progress: OnProgress | None
) -> tuple[Report, StoredFiles | None]:
    prepare_output(run, run.output.list())
    source, output = (absolute_location(it) for it in (run.options.source, run.options.output))
    labels = run.plan.labels
    division = run.divide_cpus(*COPY_COSTS)
    run.write_shards(
        lambda plans: partial(copy_shard, CopyJob(source, output, plans, labels)),
        division,
        on_progress,
    )
    result = replace(collect_results(run), encoders=_encoders(compacted))
    seconds = time.monotonic() - run.started_at
    report = msgspec.structs.replace(
        report_plan(run, status="converted"),
        splits=report_splits(merge_splits(result.shards, len(run.plan.labels), {})),
        seconds=round(seconds, 3),
        images_per_second=round(run.plan.images / seconds, 1),
    )
    publish(run, result, report, lock=lock)
    return report, result.stored


def _encoders(manifest: Manifest) -> dict[str, str]:
    """Return the versions of each library that wrote records, joined by commas."""
    versions: dict[str, list[str]] = {}
    for generation in manifest.generations:
        for name, version in generation.encoders.items():
            if version not in versions.setdefault(name, []):
                versions[name].append(version)
    return {name: ", ".join(found) for name, found in versions.items()}
