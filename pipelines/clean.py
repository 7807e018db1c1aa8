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
    """Remove an unfinished run's files from an output. A finished dataset stays as it is.

    Raises:
        InputNotFoundError: no unfinished run is there.
        LockedError: a run is writing there now.
    """
    output = open_storage(location)
    if not run_state.has_state(output):
        raise InputNotFoundError("no unfinished conversion is here", path=output.url)
    if dry_run:
        return _measure(output, _files_of_run(output))
    with output.lock():
        cleaned = _measure(output, _files_of_run(output))
        remove_run(output)
    return cleaned


def remove_run(output: Storage) -> None:
    """Remove an unfinished run from an output that is held."""
    for name in _files_of_run(output):
        output.remove(name)
    output.remove_folder(layout.WORK_FOLDER)


def _files_of_run(output: Storage) -> list[str]:
    """The files outside the work folder that the run wrote, none where it came to its end.

    A run that adds to a dataset wrote nothing but what lies in its generation's folder.
    """
    run = run_state.read_run(output)
    if run is None:
        return []
    is_first = output.stat(layout.MANIFEST) is None
    kept = set() if is_first else shard_names(read_manifest(output))
    shards = [name for name in run.shards if name not in kept]
    folders = {layout.parent(name) for name in shards} | ({""} if is_first else set())
    beside = [
        f"{folder}/{name}".lstrip("/")
        for folder in sorted(folders)
        for name in DATASET_FILES
        if folder or is_first
    ]
    names = [*shards, *map(index_name, shards), *beside]
    return [name for name in names if output.stat(name) is not None]


def _measure(output: Storage, names: list[str]) -> CleanReport:
    facts = [output.stat(name) for name in names]
    return CleanReport(len(names), sum(f.size_bytes for f in facts if f is not None))
