"""Removes what an unfinished conversion left: only files whose names it wrote down itself."""

from __future__ import annotations

from typing import NamedTuple

from pipelines import run_state
from pipelines.writing.publish import DATASET_FILES
from records.errors import InputNotFoundError
from records.format import layout
from records.format.layout import index_name
from records.format.manifest import read_manifest, shard_names
from records.storage import Storage, open_storage


class CleanReport(NamedTuple):
    """What was removed, or would be."""

    files: int
    size_bytes: int


def clean(location: str, *, dry_run: bool = False) -> CleanReport:
    """Remove an unfinished run's files from a target. A finished dataset stays as it is.

    Raises:
        InputNotFoundError: no unfinished run is there.
        LockedError: a run is writing there now.
    """
    target = open_storage(location)
    if not run_state.has_state(target):
        raise InputNotFoundError("no unfinished conversion is here", path=target.url)
    if dry_run:
        return _measure(target, _files_of_run(target))
    with target.lock():
        cleaned = _measure(target, _files_of_run(target))
        remove_run(target)
    return cleaned


def remove_run(target: Storage) -> None:
    """Remove an unfinished run from a target that is held."""
    for name in _files_of_run(target):
        target.remove(name)
    target.remove_folder(layout.WORK_FOLDER)


def _files_of_run(target: Storage) -> list[str]:
    """The files outside the work folder that the run wrote, none where it came to its end.

    A run that adds to a dataset wrote nothing but what lies in its generation's folder.
    """
    run = run_state.read_run(target)
    if run is None:
        return []
    is_first = target.stat(layout.MANIFEST) is None
    kept = set() if is_first else shard_names(read_manifest(target))
    shards = [name for name in run.shards if name not in kept]
    folders = {layout.parent(name) for name in shards} | ({""} if is_first else set())
    beside = [
        f"{folder}/{name}".lstrip("/")
        for folder in sorted(folders)
        for name in DATASET_FILES
        if folder or is_first
    ]
    names = [*shards, *map(index_name, shards), *beside]
    return [name for name in names if target.stat(name) is not None]


def _measure(target: Storage, names: list[str]) -> CleanReport:
    facts = [target.stat(name) for name in names]
    return CleanReport(len(names), sum(f.size_bytes for f in facts if f is not None))
