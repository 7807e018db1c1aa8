"""Removal of unfinished runs.

Only files that the run itself has recorded are removed.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

from pipelines import run_state
from pipelines.writing.publish import DATASET_FILES
from records.errors import InputNotFoundError
from records.format import layout
from records.format.layout import index_name
from records.format.manifest import read_manifest, shard_names
from records.format.work_folder import remove_own_files
from records.storage import Storage, open_storage
from records.storage.local import LocalStorage


class CleanReport(NamedTuple):
    """The number and size of the removed files or, in a dry run, of the files to remove."""

    files: int
    size_bytes: int


def clean(location: str, *, dry_run: bool = False) -> CleanReport:
    """Remove the files of an unfinished run. A finished dataset is not changed.

    Args:
        location: the path or URL of the output.
        dry_run: whether to only report the files, and remove nothing.

    Raises:
        InputNotFoundError: the output has no unfinished run.
        LockedError: a run is writing to the output.
    """
    output = open_storage(location)
    if not run_state.has_state(output):
        raise InputNotFoundError("no unfinished run found", path=output.url)
    if dry_run:
        return _measure(output, _files_of_run(output))
    with output.lock():
        report = _measure(output, _files_of_run(output))
        remove_run(output)
    return report


def remove_run(output: Storage) -> None:
    """Remove the files and the state of a run from a locked output, and its empty folders."""
    folders = _folders_of_run(output)
    for name in _files_of_run(output):
        output.remove(name)
    remove_own_files(output)
    if isinstance(output, LocalStorage):
        for folder in folders:
            output.remove_if_empty(folder)


def _files_of_run(output: Storage) -> list[str]:
    """Return the files of a run outside its work folder; none if the manifest lists its shards.

    The shards of a run that appends to a dataset are in the folder of its generation.
    """
    run = run_state.read_run(output)
    if run is None:
        return []
    is_first = output.stat(layout.MANIFEST) is None
    published = set() if is_first else shard_names(read_manifest(output))
    shards = [name for name in run.shards if name not in published]
    folders = {layout.parent(name) for name in shards} | ({""} if is_first else set())
    other_files = [
        f"{folder}/{name}".lstrip("/")
        for folder in sorted(folders)
        for name in DATASET_FILES
        if folder or is_first
    ]
    names = [*shards, *map(index_name, shards), *other_files]
    return [name for name in names if output.stat(name) is not None]


def _folders_of_run(output: Storage) -> list[str]:
    """Return the folders that a run creates in its output, the inner ones first."""
    run = run_state.read_run(output)
    names = () if run is None else (*run.shards, *map(index_name, run.shards))
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    return sorted(folders - {"."}, key=len, reverse=True)


def _measure(output: Storage, names: list[str]) -> CleanReport:
    files = [output.stat(name) for name in names]
    return CleanReport(len(names), sum(file.size_bytes for file in files if file is not None))
