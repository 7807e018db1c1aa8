"""What a target holds before a conversion: nothing, this dataset, this run, or another's."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pyarrow as pa

from pipelines import work_folder
from pipelines.changes import changed_shards
from pipelines.commit import DATASET_FILES
from pipelines.options import ConvertOptions
from pipelines.plan import Plan, PlannedShard
from pipelines.report import Report, encode_report
from pipelines.source_files import open_source
from pipelines.work_folder import UnfinishedRun
from records import layout
from records.errors import DamagedError, TargetError
from records.images import encoder_versions
from records.index import read_facts
from records.layout import index_name, parse_shard_name
from records.manifest import Manifest, read_manifest, shard_names
from records.storage import Storage
from records.untrusted import decode_json


def find_finished(target: Storage, plan: Plan) -> Manifest | None:
    """The manifest of this very plan's dataset, None where the target holds no dataset.

    Raises:
        TargetError: it holds another one, or one that is damaged.
    """
    if target.facts(layout.MANIFEST) is None:
        return None
    try:
        manifest = read_manifest(target)
    except DamagedError as error:
        raise TargetError(
            f"the target is taken: {error.what}",
            path=error.path,
            got=error.got,
            hint="choose another target",
        ) from error
    if not any(generation.plan_digest == plan.digest for generation in manifest.generations[-1:]):
        raise TargetError(
            "the target holds a dataset of another plan (other images or other options)",
            path=target.url,
            hint="choose another target, or add what is new with --append",
        )
    _check_sizes(target, manifest)
    return manifest


def _check_sizes(target: Storage, manifest: Manifest) -> None:
    for shard in (shard for split in manifest.splits.values() for shard in split.shards):
        present = target.facts(shard.name)
        if present is None or present.size_bytes != shard.bytes:
            raise TargetError(
                "the dataset here has lost a shard, or a part of it",
                path=target.describe(shard.name),
                expected=f"{shard.bytes} bytes",
                got="no file" if present is None else f"{present.size_bytes} bytes",
                hint="`shardmill verify` tells what else; convert into another target",
            )


def check_unchanged(target: Storage, plan: Plan, options: ConvertOptions) -> None:
    """Look into files that were touched since the dataset here was made.

    Raises:
        TargetError: one holds other bytes now.
    """
    kept = read_report(target)
    if kept is not None and kept.stamp == plan.stamp:
        return
    files = open_source(options.source)
    for _, key in changed_shards(target, plan.shards, files, threads=options.workers):
        raise TargetError(
            "the dataset here was made from other bytes: a source file changed since",
            path=target.url,
            got=key,
            hint="choose another target to convert what is there now",
        )
    if kept is not None and not options.dry_run:
        report = msgspec.structs.replace(kept, stamp=plan.stamp)
        # A target that is read-only by now is looked into again next time: no reason to fail.
        with suppress(TargetError):
            target.replace(layout.REPORT, encode_report(report))


def read_report(target: Storage) -> Report | None:
    """The report of the last run that came to an end; None where it is lost."""
    try:
        return decode_json(target.read(layout.REPORT), Report)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def look_for_unfinished(
    target: Storage, plan: Plan, base: Manifest | None = None
) -> UnfinishedRun | None:
    """The run of this plan that a target holds unfinished, None where it holds none.

    Args:
        target: where to look.
        plan: of this run.
        base: the manifest of the dataset that is to be added to; its files may be there.

    Raises:
        TargetError: something else is there: another unfinished run, or files of other origin.
    """
    unfinished = work_folder.read_run(target)
    if unfinished is None:
        _refuse_foreign_files(target, base)
        return None
    if unfinished.plan_digest != plan.digest:
        raise TargetError(
            "an unfinished run with another plan (other images or other options) is here",
            path=target.url,
            hint="run it again as it was, or remove it with `shardmill clean`",
        )
    present = encoders()
    if unfinished.encoders != present:
        raise TargetError(
            "an unfinished run was begun with other versions of the image libraries",
            path=target.url,
            expected=_differences(unfinished.encoders, present),
            got=_differences(present, unfinished.encoders),
            hint="go on with those versions, or remove it with `shardmill clean` and begin anew",
        )
    return unfinished


def prepare_target(
    target: Storage, plan: Plan, options: ConvertOptions, base: Manifest | None = None
) -> int:
    """Make the target ready for this plan; the number of shards an earlier run left finished.

    Raises:
        TargetError: as `look_for_unfinished`.
    """
    # Under the lock nobody else stages anything: what lies here is a dead run's.
    target.remove_folder(f"{layout.WORK_FOLDER}/staging")
    unfinished = look_for_unfinished(target, plan, base)
    if unfinished is None:
        work_folder.write_run(target, plan, encoders())
        return 0
    is_touched = unfinished.stamp != plan.stamp
    if is_touched:
        _drop_changed(target, plan, options)
    kept = [shard for shard in plan.shards if _keep(target, shard, is_touched=is_touched)]
    # Also where nothing was touched: the plans that a dead run left are not relied on.
    work_folder.write_run(target, plan, encoders())
    work_folder.forget_results(target)
    return len(kept)


def _keep(target: Storage, shard: PlannedShard, *, is_touched: bool) -> bool:
    """Whether a shard counts as finished; if not, what there is of it is removed."""
    try:
        rejects = read_facts(target, index_name(shard.name)).rejects
    except (FileNotFoundError, DamagedError):
        pass
    else:
        # A file that could not be read may be readable by now. Of one that is rejected for its
        # bytes nothing is kept to compare: where files were touched, it is looked into again.
        if not any(is_touched or reject.reason == "unreadable" for reject in rejects):
            return True
    target.remove(index_name(shard.name))
    target.remove(shard.name)
    return False


def _drop_changed(target: Storage, plan: Plan, options: ConvertOptions) -> None:
    """Remove the indexes of finished shards whose sources were rewritten since."""
    files = open_source(options.source)
    changed = changed_shards(target, plan.shards, files, threads=options.workers)
    for shard, _ in list(changed):
        target.remove(index_name(shard.name))


def encoders() -> dict[str, str]:
    """The libraries that the bytes depend on, and their versions."""
    return encoder_versions() | {"pyarrow": pa.__version__}


def _differences(these: dict[str, str], others: dict[str, str]) -> str:
    return ", ".join(f"{k} {v}" for k, v in sorted(these.items()) if others.get(k) != v) or "none"


def _refuse_foreign_files(target: Storage, base: Manifest | None) -> None:
    """Refuse a target where a dataset's files are, of whatever origin; others stay beside ours."""
    own = set() if base is None else _files_of(base)
    for name in target.list():
        if name in own:
            continue
        folder = name.rpartition("/")[0]
        if (
            name in DATASET_FILES
            or parse_shard_name(name) is not None
            or folder == layout.INDEX_FOLDER
        ):
            raise TargetError(
                "a file of a dataset is there already, and no unfinished run of ours is",
                path=target.describe(name),
                hint="move it away, or choose another target",
            )


def _files_of(manifest: Manifest) -> set[str]:
    """Every file that a dataset may have."""
    shards = shard_names(manifest)
    beside = (
        layout.in_generation(name, generation.number)
        for name in DATASET_FILES
        for generation in manifest.generations
    )
    return {*shards, *map(index_name, shards), *beside}
