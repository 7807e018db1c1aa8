"""All generations of a dataset as one, in another folder: records copied, nothing decoded anew.

Shards and index rows are those that one conversion of all these images would have made, as long as
the same versions of the image libraries stored them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import msgspec

from pipelines import run_state
from pipelines.clean import remove_run
from pipelines.options import ConvertOptions
from pipelines.planning.plan import Plan, make_plan
from pipelines.report import Report, report_finished, report_plan, report_splits
from pipelines.resume import find_finished, prepare_output
from pipelines.runners.base import ProgressCallback
from pipelines.runners.local import OnProgress, RunnerConfig
from pipelines.sources.base import SourceImage, Sources
from pipelines.sources.path_checks import check_locations
from pipelines.writing.publish import publish
from pipelines.writing.results import collect_results
from pipelines.writing.shard import is_finished, publish_shard
from pipelines.writing.write_all import write_all
from records.dataset import Dataset, open_dataset
from records.errors import UsageError
from records.format.index import IndexRow, Reject
from records.format.manifest import Manifest, read_manifest
from records.format.rejects import read_all_rejects
from records.format.shard import ShardWriter
from records.storage import FolderLock, Storage, absolute_location, open_storage
from records.text.keys import key_from_text


class CopyJob(msgspec.Struct, frozen=True):
    """What every shard of a compaction has in common; sent to each worker."""

    dataset: str
    output: str


def compact(
    dataset: str,
    output: str,
    *,
    runner: RunnerConfig | None = None,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> Report:
    """Write a dataset of several generations anew, as one; or go on with that, or find it done.

    Args:
        dataset: a finished one, which stays as it is; a path or a URL.
        output: where to.
        runner: where it runs.
        dry_run: only tell what would be written.
        on_progress: told how many images are done, of how many.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: its records were written by others, or the two places are not apart.
        CorruptDataError: a record or an index is damaged.
        OutputError: the output cannot be written, or holds something else.
        StorageError: storage failed after retries.
        LockedError: another run is writing there.
    """
    started_at = time.monotonic()
    check_locations(dataset, output)
    runner = runner or RunnerConfig()
    runner.check(dataset, output)
    opened, place = open_dataset(dataset), open_storage(output)
    sources = list_records(opened)
    plan = make_plan(sources, opened.manifest.settings, kept=opened.manifest.thresholds)
    if dry_run:
        return report_plan(plan, sources, status="planned", output=place.url)
    job = CopyJob(absolute_location(dataset), absolute_location(output))
    with place.lock() as hold:
        finished = find_finished(place, plan)
        if finished is None:
            prepare_output(place, plan, ConvertOptions(source=dataset, output=output))
            write_all(plan, partial(copy_shard, job), output, runner, on_progress)
            report = _publish(opened, sources, plan, place, hold)
        else:
            report = report_finished(finished, place, plan)
        remove_run(place)
    seconds = time.monotonic() - started_at
    speed = round(plan.images / seconds, 1)
    return msgspec.structs.replace(report, seconds=round(seconds, 3), images_per_second=speed)


def list_records(dataset: Dataset) -> Sources:
    """The records of a dataset as images to convert; where each is, is its number in its split.

    Raises:
        UsageError: they were written by others.
        CorruptDataError: an index is damaged, or missing.
    """
    manifest, storage = dataset.manifest, dataset.storage
    if manifest.adopted is not None:
        raise UsageError(
            "records that others wrote are not written anew",
            path=storage.url,
            hint="convert what they were made from",
        )
    last = manifest.generations[-1].counts
    sources = Sources(manifest.labels, None, skipped=last.skipped, excluded=last.excluded)
    for split, records in dataset.items():
        numbers = iter(range(len(records)))
        for shard in range(len(records.info.shards)):
            for row in records.load_index(shard).rows():
                key, place = key_from_text(row.key), str(next(numbers))
                sources.add(SourceImage(key, row.label, row.source_bytes, 0, split, None, place))
    sources.rejects = _still_rejected(dataset, sources)
    return sources


def _still_rejected(dataset: Dataset, sources: Sources) -> list[Reject]:
    """The rejects of all generations, each once; a file may have been mended and stored since."""
    rejects = {
        key_from_text(reject.key): reject
        for reject in read_all_rejects(dataset.storage, dataset.manifest)
    }
    if rejects:
        for image in sources.images:
            rejects.pop(image.key, None)
    return list(rejects.values())


def copy_shard(job: CopyJob, name: str, count: ProgressCallback) -> None:
    """Write one shard of records that are there already, and its index. Raises as `write_shard`."""
    output = open_storage(job.output)
    plan = run_state.read_shard_plan(output, name)
    if is_finished(output, name, plan.plan_digest):
        count(len(plan.images))
        return
    records = open_dataset(job.dataset)[plan.split]

    def copy(writer: ShardWriter) -> Iterator[IndexRow]:
        for image in plan.images:
            payload, row = records.read_raw(int(image.url or 0))
            position = writer.write(payload)
            yield row._replace(offset=position.offset, length=position.length)
            count(1)

    publish_shard(output, plan, copy)


def _publish(
    dataset: Dataset, sources: Sources, plan: Plan, output: Storage, hold: FolderLock
) -> Report:
    outcome = replace(collect_results(output, plan, sources), encoders=_encoders(dataset.manifest))
    report = report_plan(plan, sources, status="converted", output=output.url)
    publish(output, plan, outcome, report, hold=hold)
    splits = report_splits(read_manifest(output).splits)
    return msgspec.structs.replace(report, splits=splits)


def _encoders(manifest: Manifest) -> dict[str, str]:
    """The versions that made the bytes, all of them where generations differ."""
    versions: dict[str, list[str]] = {}
    for generation in manifest.generations:
        for name, version in generation.encoders.items():
            if version not in versions.setdefault(name, []):
                versions[name].append(version)
    return {name: ", ".join(found) for name, found in versions.items()}
