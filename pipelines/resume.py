"""What a target holds before a conversion: nothing, this dataset, this run, or another's."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from pipelines import work_folder
from pipelines.changes import changed_shards
from pipelines.commit import DATASET_FILES
from pipelines.options import ConvertOptions
from pipelines.plan import Plan
from pipelines.report import Report
from pipelines.source_files import open_source
from records import layout
from records.errors import TargetError
from records.images import encoder_versions
from records.layout import index_name
from records.manifest import Manifest, read_manifest
from records.storage import Storage


def find_finished(target: Storage, plan: Plan) -> Manifest | None:
    """The manifest of this very plan's dataset, None where the target holds no dataset.

    Raises:
        TargetError: it holds another one.
    """
    if target.facts(layout.MANIFEST) is None:
        return None
    manifest = read_manifest(target)
    if manifest.generations[-1].plan_digest != plan.digest:
        raise TargetError(
            "the target holds a dataset of another plan (other images or other options)",
            path=target.url,
            hint="choose another target, or remove this one yourself",
        )
    return manifest


def check_unchanged(target: Storage, plan: Plan, options: ConvertOptions, report: Report) -> None:
    """Look into files that were touched since the dataset here was made.

    Raises:
        TargetError: one holds other bytes now.
    """
    if _kept_stamp(target) == plan.stamp:
        return
    files = open_source(options.source)
    for _, key in changed_shards(target, plan.shards, files, threads=options.workers):
        raise TargetError(
            "the dataset here was made from other bytes: a source file changed since",
            path=target.url,
            got=key,
            hint="choose another target to convert what is there now",
        )
    target.replace(layout.REPORT, msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def _kept_stamp(target: Storage) -> str | None:
    try:
        return msgspec.json.decode(target.read(layout.REPORT), type=Report).stamp
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def prepare_target(target: Storage, plan: Plan, options: ConvertOptions) -> int:
    """Make the target ready for this plan; the number of shards an earlier run left finished.

    Raises:
        TargetError: something else is there: another unfinished run, or files of other origin.
    """
    encoders = encoder_versions() | {"pyarrow": pa.__version__}
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
