"""Rollback of a dataset to an earlier generation.

A rollback is a new generation with the shards and the labels of an earlier one. It writes no shard
and removes no file, so a rollback can be rolled back.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Literal, NamedTuple

import msgspec

from pipelines.clean import remove_run
from pipelines.fingerprints import forget_fingerprints
from pipelines.run_state import has_state
from pipelines.writing.publish import derived_files
from records.errors import CorruptDataError, UsageError
from records.format import layout
from records.format.digest import FileDigest, digest_of, digest_stream
from records.format.manifest import Counts, Generation, Manifest, read_manifest
from records.format.shard import missing_as_corrupt
from records.generations import (
    Provenance,
    encode_saved,
    iter_saved,
    make_provenance,
    read_generation,
    read_provenance,
    replace_manifest,
    require_whole_dataset,
    write_provenance,
)
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.storage import FolderLock, Storage, open_storage
from records.storage.ownership import (
    create_recorded,
    foreign_file,
    recorded_hashes,
    require_own,
    write_own,
    write_own_files,
)
from records.storage.work_folder import record_command, run_of_other_command, unfinished_command
from records.text.formatting import pluralize

Status = Literal["rolled-back", "nothing-to-do", "planned"]
_TO = "to"


class RollbackReport(msgspec.Struct, frozen=True):
    """The result of a rollback.

    Attributes:
        status: the outcome, or in a dry run, `planned`.
        dataset: the path or URL of the dataset.
        generation: the number of the new generation; of the present one if there is nothing to do.
        to: the number of the generation whose records it has.
        records: the number of its records.
        records_before: the number of records of the generation before it.
    """

    status: Status
    dataset: str
    generation: int
    to: int
    records: int
    records_before: int

    def lines(self) -> list[str]:
        """Return the report as text, one string per line."""
        if self.status == "nothing-to-do":
            return [f"{self.dataset}: nothing to do, it has the records of generation {self.to}"]
        verb = "would have" if self.status == "planned" else "has"
        records, before = pluralize(self.records, "record"), f"{self.records_before:,} before"
        what = f"the {records} of generation {self.to} ({before})"
        return [f"{self.dataset}: generation {self.generation} {verb} {what}"]

    def __repr__(self) -> str:
        return "\n".join(self.lines())


class _Plan(NamedTuple):
    """The number and the manifest of an earlier generation, the present one, and the new one.

    The new manifest is None if the present generation has the same records.
    """

    to: int
    target: Manifest
    base: Manifest
    manifest: Manifest | None


def rollback(
    dataset: str, *, to: int | None = None, message: str | None = None, dry_run: bool = False
) -> RollbackReport:
    """Publish a new generation of a dataset, with the records of an earlier one.

    Args:
        dataset: the path or URL of the dataset.
        to: the number of the earlier generation; by default, the one before the present one.
        message: the reason, for the provenance of the new generation.
        dry_run: whether to only report what would be done.

    Raises:
        InputNotFoundError: there is no finished dataset, or the generation was pruned.
        UsageError: the dataset never had the generation.
        CorruptDataError: a manifest is damaged, or a shard of the generation is missing.
        OutputError: the folder cannot be written to, contains an unfinished run of another command,
            or a file of the user has the name of one of the new files.
        LockedError: another run is writing to the dataset.
        StorageError: storage failed after retries.
    """
    require_whole_dataset(dataset)
    storage = open_storage(dataset)
    if dry_run:
        return _report(storage, _plan(storage, to), "planned")
    provenance = make_provenance("rollback", message=message)
    plan = _plan(storage, to)  # an error leaves no lock behind
    if plan.manifest is None and not has_state(storage):
        return _report(storage, plan, "rolled-back")
    with storage.lock() as lock:
        _require_no_other_run(storage)
        if to is None:
            to = _find_published(storage)
        remove_run(storage)
        plan = _plan(storage, to)
        if plan.manifest is not None:
            _publish(storage, plan, plan.manifest, provenance, lock)
            remove_run(storage)
    return _report(storage, plan, "rolled-back")


def _require_no_other_run(storage: Storage) -> None:
    command = unfinished_command(storage)
    if command not in {None, "rollback"}:
        raise run_of_other_command(storage, str(command))


def _find_published(storage: Storage) -> int | None:
    """Return the generation to which a run that was then killed has rolled back; None if none has.

    The same command again must not roll back that rollback.
    """
    if unfinished_command(storage) != "rollback":
        return None
    newest = read_manifest(storage).generations[-1].number
    if layout.generation_path(layout.PROVENANCE, newest) not in recorded_hashes(storage):
        return None
    provenance = read_provenance(storage, newest)
    to = None if provenance is None else provenance.options.get(_TO)
    return to if type(to) is int else None


def _plan(storage: Storage, to: int | None) -> _Plan:
    base = read_manifest(storage)
    newest = base.generations[-1].number
    if to is None and newest == 1:
        raise UsageError("the dataset has only one generation", path=storage.url)
    number = newest - 1 if to is None else to
    target = read_generation(storage, number)
    if _content(target) == _content(base):
        return _Plan(number, target, base, None)
    _require_files(storage, target, base)
    return _Plan(number, target, base, make_rollback(target, base))


def _content(manifest: Manifest) -> tuple[object, ...]:
    """Return what a rollback takes back: records, classes, description and lists of edits.

    A generation may have the records of another one, and keep other images out.
    """
    lists = {layout.REMOVED, layout.RELABELLED}
    edits = {name: it for name, it in manifest.files.items() if posixpath.basename(name) in lists}
    return manifest.splits, manifest.labels, manifest.description, edits


def _report(storage: Storage, plan: _Plan, status: Status) -> RollbackReport:
    newest = plan.base.generations[-1].number
    return RollbackReport(
        status="nothing-to-do" if plan.manifest is None else status,
        dataset=storage.url,
        generation=newest if plan.manifest is None else newest + 1,
        to=plan.to,
        records=_count(plan.target),
        records_before=_count(plan.base),
    )


def _count(manifest: Manifest) -> int:
    return sum(info.records for info in manifest.splits.values())


def _require_files(storage: Storage, target: Manifest, base: Manifest) -> None:
    """Check the sizes of the files that the present generation lacks, except derived ones.

    Raises:
        CorruptDataError: a file is missing, as after a killed `prune`, or has another size.
    """
    present = {shard for info in base.splits.values() for shard in info.shards}
    shards = [
        shard for info in target.splits.values() for shard in info.shards if shard not in present
    ]
    expected = {shard.name: shard.bytes for shard in shards}
    expected |= {layout.index_name(shard.name): shard.index.bytes for shard in shards}
    lists = target.files.keys() - base.files.keys() - derived_files(target).keys()
    expected |= {name: target.files[name].bytes for name in sorted(lists)}
    threads = 0 if storage.is_local else IO_THREADS
    found = parallel_map(storage.stat, expected, threads=threads)
    for (name, size_bytes), info in zip(expected.items(), found, strict=True):
        if info is None or info.size_bytes != size_bytes:
            raise CorruptDataError(
                "a file of the generation is missing or incomplete",
                path=storage.display_name(name),
                expected=pluralize(size_bytes, "byte"),
                got="no file" if info is None else pluralize(info.size_bytes, "byte"),
                hint="list all damage with `shardmill verify"
                f" {storage.url}@{target.generations[-1].number}`",
            )


def make_rollback(target: Manifest, base: Manifest) -> Manifest:
    """Return the manifest of a new generation with the records of an earlier one.

    The new generation follows from the earlier one. It stores and rejects nothing, and lists the
    same skipped files: so the new dataset is compacted to the same bytes as the earlier one.

    Args:
        target: the manifest of the earlier generation.
        base: the present manifest.
    """
    last = target.generations[-1]
    skipped, excluded = last.counts.skipped, last.counts.excluded
    generation = Generation(
        number=base.generations[-1].number + 1,
        plan_digest=last.plan_digest,
        encoders={},
        counts=Counts(skipped + excluded, 0, 0, skipped, excluded),
    )
    lists = {
        layout.generation_path(layout.REJECTS, generation.number): digest_of(b""),
        layout.generation_path(layout.SKIPPED, generation.number): _skipped_digest(target),
    }
    manifest = msgspec.structs.replace(
        target, generations=(*target.generations, generation), files=target.files | lists
    )
    return manifest.with_files(derived_files(manifest))


def _skipped_digest(manifest: Manifest) -> FileDigest:
    name = layout.generation_path(layout.SKIPPED, manifest.generations[-1].number)
    try:
        return manifest.files[name]
    except KeyError:
        raise CorruptDataError(f"the manifest has no digest of {name}") from None


def _publish(
    storage: Storage, plan: _Plan, manifest: Manifest, provenance: Provenance, lock: FolderLock
) -> None:
    number = manifest.generations[-1].number
    replaced = dict(_find_replaced(storage, plan, derived_files(manifest)))
    record_command(storage, "rollback")
    # Before the manifest: a fingerprint may be that of a file with the content that is taken back.
    forget_fingerprints(storage, plan.base, plan.target)
    write_own(storage, layout.generation_path(layout.REJECTS, number), b"")
    _copy_skipped(storage, plan.target, number)
    options = {_TO: plan.to}
    provenance = msgspec.structs.replace(
        provenance, command=f"rollback --to {plan.to}", options=options
    )
    write_provenance(storage, number, provenance)
    write_own_files(storage, {**derived_files(manifest), **encode_saved(plan.base)}, replaced)
    lock.ensure_held()
    replace_manifest(storage, plan.base, manifest)


def _find_replaced(
    storage: Storage, plan: _Plan, contents: Mapping[str, bytes]
) -> Iterator[tuple[str, bytes]]:
    """Yield the existing files of these names, and their content.

    Raises:
        OutputError: a file has neither its new content nor that of a generation: it belongs to the
            user.
    """
    for name, content in contents.items():
        if storage.stat(name) is None:
            continue
        stored = storage.read(name)
        if stored != content:
            digest = digest_of(stored)
            manifests = chain([plan.base, plan.target], iter_saved(storage))
            if all(manifest.files.get(name) != digest for manifest in manifests):
                raise foreign_file(storage, name)
        yield name, stored


def _copy_skipped(storage: Storage, target: Manifest, number: int) -> None:
    """Copy the list of skipped files of an earlier generation. Raises CorruptDataError."""
    source = layout.generation_path(layout.SKIPPED, target.generations[-1].number)
    name = layout.generation_path(layout.SKIPPED, number)
    require_own(storage, name)
    storage.remove(name)  # of a killed run
    with (
        missing_as_corrupt(storage, source),
        storage.open(source) as stream,
        create_recorded(storage, name) as staged,
    ):
        if digest_stream(stream, staged.write) != _skipped_digest(target):
            raise CorruptDataError(
                f"the content does not match {layout.MANIFEST}", path=storage.display_name(source)
            )
