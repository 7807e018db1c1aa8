"""Removal of old generations, and of the files that only they need.

A generation is its manifest: after its saved manifest is removed, it cannot be read. The files of
a generation are removed before its saved manifest, so a killed run leaves a manifest, and the next
run removes the rest. A file marks the generation meanwhile: `verify` reports no missing file of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

import msgspec

from records.errors import CorruptDataError, LockedError
from records.format import layout
from records.format.digest import FileDigest, digest_stream
from records.format.layout import measurement_names
from records.format.manifest import Manifest, ShardInfo, read_manifest
from records.generations import list_saved, read_provenance, read_saved, require_whole_dataset
from records.runtime.storage_patience import parse_duration
from records.storage import FolderLock, Storage, open_storage, write_file
from records.storage.local import LocalStorage
from records.storage.work_folder import REPAIRED, list_own_files, remove_rest, warn_kept
from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes, pluralize

_SHOWN_FILES = 20
_MARK = b"prune is removing the files of this generation\n"


class PruneReport(msgspec.Struct, frozen=True):
    """The result of `prune`.

    Attributes:
        dataset: the path or URL of the dataset.
        dry_run: whether nothing was removed.
        generations: the numbers of the removed generations.
        unknown: the numbers of the generations that are kept because it is unknown when they were
            replaced.
        removed: the names of the removed files.
        bytes: the size of the removed files.
        kept: the names of the files that are kept because they have other content than shardmill
            wrote.
    """

    dataset: str
    dry_run: bool
    generations: tuple[int, ...]
    unknown: tuple[int, ...]
    removed: tuple[str, ...]
    bytes: int
    kept: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the report as text, one string per line."""
        verb = "would remove" if self.dry_run else "removed"
        numbers = ", ".join(map(str, self.generations))
        noun = "generation" if len(self.generations) == 1 else "generations"
        files = f"{pluralize(len(self.removed), 'file')}, {format_bytes(self.bytes)}"
        lines = [f"{self.dataset}: {verb} {noun} {numbers}: {files}"]
        if not self.generations:
            lines = [f"{self.dataset}: nothing to prune"]
        lines += [f"  {escape_for_display(name)}" for name in self.removed[:_SHOWN_FILES]]
        if (more := len(self.removed) - _SHOWN_FILES) > 0:
            lines.append(f"  … {more:,} more; --json lists all")
        if self.unknown:
            unknown = ", ".join(map(str, self.unknown))
            lines.append(f"kept, because the time of their replacement is unknown: {unknown}")
        return lines

    def __repr__(self) -> str:
        return "\n".join(self.lines())


class _Plan(NamedTuple):
    """The generations to remove, and their files with the digests that shardmill has written.

    `shards` are the shards among the files, by name, and `marked` are the generations that a killed
    run has marked as pruned.
    """

    generations: list[int]
    unknown: list[int]
    files: dict[str, set[FileDigest]]
    shards: dict[str, ShardInfo]
    marked: list[int]


def prune(dataset: str, *, older_than: str, dry_run: bool = False) -> PruneReport:
    """Remove the generations of a dataset that were replaced long ago, and their files.

    The present generation, and every file that a remaining generation needs, is kept. The removed
    files are read and compared with their digests: a file with other content is kept.

    Args:
        dataset: the path or URL of the dataset.
        older_than: the time since the replacement of a generation, such as `7d` or `12h`; `0` for
            all earlier generations, whatever the clock and their provenance are.
        dry_run: whether to only report the files; their content is not compared then.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: the duration is invalid, or `dataset` names a generation.
        CorruptDataError: a manifest is damaged, so that it is unknown which files it needs.
        OutputError: a file cannot be removed.
        LockedError: another run is writing to the dataset.
        StorageError: storage failed after retries.
    """
    require_whole_dataset(dataset)
    seconds = parse_duration(older_than)
    storage = open_storage(dataset)
    plan = _plan(storage, seconds)
    is_done = not (plan.generations or plan.marked)
    if not dry_run and is_done and list_own_files(storage):
        with suppress(LockedError), storage.lock():
            remove_rest(storage)
    if dry_run or is_done:
        names = {name: _size(storage, name) for name in _all_files(plan)}
        present = {name: size for name, size in names.items() if size is not None}
        return _report(storage, plan, present, (), dry_run=dry_run)
    with storage.lock() as lock:
        plan = _plan(storage, seconds)
        removed, kept = _remove(storage, plan, lock)
        remove_rest(storage)
    warn_kept(storage, kept)
    return _report(storage, plan, removed, tuple(kept), dry_run=False)


def _report(
    storage: Storage,
    plan: _Plan,
    removed: Mapping[str, int],
    kept: tuple[str, ...],
    *,
    dry_run: bool,
) -> PruneReport:
    return PruneReport(
        dataset=storage.url,
        dry_run=dry_run,
        generations=tuple(plan.generations),
        unknown=tuple(plan.unknown),
        removed=tuple(removed),
        bytes=sum(removed.values()),
        kept=kept,
    )


def _plan(storage: Storage, seconds: float) -> _Plan:
    """Choose the generations, and the files that no remaining manifest names."""
    present = read_manifest(storage)
    newest = present.generations[-1].number
    numbers = range(1, newest)
    names = {*storage.list("generations")}
    marked = [number for number in numbers if layout.pruned_name(number) in names]
    plan = _Plan([], [], {}, {}, marked)
    needed = {name for name, _ in _digests(present)}
    for number in list_saved(storage):
        if number >= newest:
            continue  # a run that was killed before it published has saved the present manifest
        try:
            manifest = _read(storage, number)
        except FileNotFoundError:
            continue  # another process has pruned it since the listing
        age = _age_seconds(storage, number) if seconds else math.inf
        if age is None:
            plan.unknown.append(number)
        if age is not None and age > seconds:
            plan.generations.append(number)
            for name, digest in _digests(manifest):
                plan.files.setdefault(name, set()).add(digest)
            plan.shards.update(_shards(manifest))
        else:
            needed |= {name for name, _ in _digests(manifest)}
    for name in needed & plan.files.keys():
        del plan.files[name]
        plan.shards.pop(name, None)
    plan.files.update(_find_waiting(storage, plan))
    return plan


def _find_waiting(storage: Storage, plan: _Plan) -> dict[str, set[FileDigest]]:
    """Return the shards that a killed repair has written, and not yet copied to their places."""
    shards = {f"{REPAIRED}/{shard}": shard for shard in plan.shards}
    return {name: plan.files[shards[name]] for name in storage.list(REPAIRED) if name in shards}


def _read(storage: Storage, number: int) -> Manifest:
    try:
        return read_saved(storage, number)
    except CorruptDataError as error:
        error.hint = (
            f"restore {layout.saved_manifest_name(number)} from a copy, or remove it: prune must"
            " know which files it needs"
        )
        raise


def _age_seconds(storage: Storage, number: int) -> float | None:
    """Return the time since a generation was replaced; None if it is unknown."""
    replaced = read_provenance(storage, number + 1)
    return None if replaced is None else time.time() - replaced.ended.timestamp()


def _shards(manifest: Manifest) -> dict[str, ShardInfo]:
    return {shard.name: shard for info in manifest.splits.values() for shard in info.shards}


def _digests(manifest: Manifest) -> Iterator[tuple[str, FileDigest]]:
    """Yield the name and the digest of each file of a generation, except its manifest."""
    for name, shard in _shards(manifest).items():
        yield name, FileDigest(shard.bytes, shard.sha256)
        yield layout.index_name(name), shard.index
    yield from manifest.files.items()


def _all_files(plan: _Plan) -> list[str]:
    """Return the names of the files to remove, in their order: the saved manifests last."""
    measured = chain.from_iterable(map(measurement_names, plan.shards))
    saved = map(layout.saved_manifest_name, plan.generations)
    return [*sorted([*plan.files, *measured]), *saved]


def _size(storage: Storage, name: str) -> int | None:
    info = storage.stat(name)
    return None if info is None else info.size_bytes


def _remove(storage: Storage, plan: _Plan, lock: FolderLock) -> tuple[dict[str, int], list[str]]:
    """Remove files; return the size of each, and the names of those with other content."""
    removed: dict[str, int] = {}
    kept: list[str] = []
    measured = {
        file: shard for name, shard in plan.shards.items() for file in measurement_names(name)
    }
    saved = {*map(layout.saved_manifest_name, plan.generations)}
    marks = _mark(storage, plan)
    for name in _all_files(plan):
        size_bytes = _size(storage, name)
        if size_bytes is None:
            continue  # a killed run has removed it
        is_own = (
            name in saved
            or (name in measured and _is_measured(storage, name, measured[name]))
            or _has_digest(storage, name, size_bytes, plan.files.get(name, set()))
        )
        if is_own:
            # A run that took over may have made a new generation that needs the file.
            lock.ensure_held()
            storage.remove(name)
            removed[name] = size_bytes
        else:
            kept.append(name)
    _unmark(storage, marks)
    if isinstance(storage, LocalStorage):
        folders = {layout.parent(name) for name in (*removed, *marks)} - {""}
        for folder in sorted(folders, key=len, reverse=True):
            storage.remove_if_empty(folder)
    return removed, kept


def _mark(storage: Storage, plan: _Plan) -> list[str]:
    """Mark the generations to remove; return the names of all marks, also of killed runs."""
    for number in sorted({*plan.generations} - {*plan.marked}):
        write_file(storage, layout.pruned_name(number), _MARK)
    return [layout.pruned_name(number) for number in sorted({*plan.generations, *plan.marked})]


def _unmark(storage: Storage, marks: list[str]) -> None:
    for name in marks:
        if storage.read(name) == _MARK:
            storage.remove(name)


def _has_digest(storage: Storage, name: str, size_bytes: int, digests: set[FileDigest]) -> bool:
    if all(digest.bytes != size_bytes for digest in digests):
        return False
    try:
        with storage.open(name) as stream:
            return digest_stream(stream) in digests
    except (FileNotFoundError, CorruptDataError):  # a link that leads out of the folder
        return False


def _is_measured(storage: Storage, name: str, shard: ShardInfo) -> bool:
    """Return whether a file contains measurements of a shard that shardmill saved."""
    from records.measurements.files import is_of_shard

    return is_of_shard(storage, name, shard)
