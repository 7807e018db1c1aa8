"""Compaction of all generations of a dataset into one generation.

Records are copied without decoding. If the same versions of the image libraries wrote all
generations, the shards and indexes are identical to those of a single conversion of all images.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import msgspec

from pipelines.clean import remove_run
from pipelines.fingerprints import copy_fingerprints
from pipelines.options import ConvertOptions
from pipelines.planning.existing_splits import existing_splits
from pipelines.planning.plan import make_plan
from pipelines.report import Report, report_finished, report_plan, report_splits
from pipelines.resume import find_finished, prepare_output
from pipelines.run import Run
from pipelines.runners import check_runner
from pipelines.sources import Sources
from pipelines.sources.path_checks import check_output
from pipelines.writing.copy import COPY_COSTS, CopyJob, copy_shard, record_to_copy
from pipelines.writing.publish import publish
from pipelines.writing.results import collect_results, merge_splits
from records.dataset import Dataset, open_dataset
from records.errors import UsageError
from records.format.edits import RELABELLED, REMOVED, RelabelledRecord, RemovedRecord
from records.format.manifest import Manifest
from records.format.rejects import read_unresolved_rejects
from records.format.skipped import load_skipped
from records.runtime.malloc import table_blocks_returned
from records.runtime.shard_worker import OnProgress, RunnerConfig
from records.storage import FolderLock, absolute_location, open_storage
from records.storage.exclusive import require_outside
from records.text.keys import key_from_text


def compact(
    dataset: str,
    output: str,
    *,
    runner: RunnerConfig | None = None,
    processes: int | None = None,
    dry_run: bool = False,
    message: str | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Copy all generations of a dataset into a new dataset with one generation.

    Resumes an interrupted compaction; does nothing if the output is complete.

    Args:
        dataset: the path or URL of a dataset, which is not changed.
        output: the path or URL of the new dataset.
        runner: the runner that copies shards; `local` by default.
        processes: the number of processes of the runner `local`; by default, it follows from the
            usable CPUs and the work.
        dry_run: whether to only report what would be written.
        message: the reason for the new dataset, for its provenance.
        on_progress: a callback that receives the number of processed images and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: the records were not written by shardmill, or the output is inside the dataset.
        CorruptDataError: a record or an index is damaged.
        OutputError: the output cannot be written, or contains something other than the compacted
            dataset.
        StorageError: storage failed after retries.
        LockedError: another run is writing to the output.
    """
    runner = runner or RunnerConfig()
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
            report = _write_and_publish(run, opened.manifest, lock, on_progress)
        else:
            report = report_finished(run, finished)
        copy_fingerprints(opened, run.output, is_new=finished is None)
        remove_run(run.output)
    return report


@table_blocks_returned()
def _list_and_plan(opened: Dataset, options: ConvertOptions) -> Run:
    started_at = time.monotonic()
    sources = list_records(opened)
    manifest = opened.manifest
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
) -> Report:
    prepare_output(run)
    source, output = (absolute_location(it) for it in (run.options.source, run.options.output))
    job = CopyJob(source, output, run.plan.labels)
    division = run.divide_cpus(*COPY_COSTS)
    run.write_shards(partial(copy_shard, job), division, on_progress)
    result = replace(collect_results(run), encoders=_encoders(compacted))
    seconds = time.monotonic() - run.started_at
    report = msgspec.structs.replace(
        report_plan(run, status="converted"),
        splits=report_splits(merge_splits(result.shards, len(run.plan.labels), {})),
        seconds=round(seconds, 3),
        images_per_second=round(run.plan.images / seconds, 1),
    )
    publish(run, result, report, lock=lock)
    return report


def list_records(dataset: Dataset) -> Sources:
    """Return the records of a dataset as images to convert, with their record numbers.

    Raises:
        UsageError: the records were not written by shardmill.
        CorruptDataError: an index is damaged, or missing.
    """
    manifest, storage = dataset.manifest, dataset.storage
    if manifest.adopted is not None:
        raise UsageError(
            "adopted records cannot be compacted: shardmill did not write them",
            path=storage.url,
            hint="convert the source images of these records",
        )
    left_out = load_skipped(storage, manifest.generations[-1])
    columns = manifest.settings.columns
    sources = Sources(manifest.labels, None, left_out=left_out, columns=columns)
    for split, records in dataset.items():
        numbers = iter(range(len(records)))
        for shard in range(len(records.info.shards)):
            for row in records.load_index(shard).rows():
                sources.add(record_to_copy(row, split, next(numbers)))
    sources.rejects = read_unresolved_rejects(storage, manifest)
    sources.removed = _merge_removed(REMOVED.read_all(storage, manifest))
    sources.relabelled = _merge_relabelled(RELABELLED.read_all(storage, manifest), sources.removed)
    return sources


def _merge_removed(removed: Iterable[RemovedRecord]) -> list[RemovedRecord]:
    """Return the removed records in the order of their keys.

    Later incremental runs must not add the removed images again.
    """
    newest = {each.key: each for each in removed}
    kept_out = (each for each in newest.values() if not each.deleted)
    return sorted(kept_out, key=lambda each: key_from_text(each.key))


def _merge_relabelled(
    relabelled: Iterable[RelabelledRecord], removed: Iterable[RemovedRecord]
) -> list[RelabelledRecord]:
    """Return the corrections in the order of their keys, without those that have no effect.

    The classes of the source have replaced earlier corrections of a record.
    """
    found: dict[str, list[RelabelledRecord]] = {}
    for each in relabelled:
        before = [] if each.source else found.get(each.key, [])
        found[each.key] = before if each.source else [*before, each]
    for record in removed:
        found.pop(record.key, None)
    keys = sorted(found, key=key_from_text)
    return [each for key in keys for each in found[key]]


def _encoders(manifest: Manifest) -> dict[str, str]:
    """Return the versions of each library that wrote records, joined by commas."""
    versions: dict[str, list[str]] = {}
    for generation in manifest.generations:
        for name, version in generation.encoders.items():
            if version not in versions.setdefault(name, []):
                versions[name].append(version)
    return {name: ", ".join(found) for name, found in versions.items()}
