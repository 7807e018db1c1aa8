"""Removes what an unfinished conversion left: only files whose names it wrote down itself."""

from __future__ import annotations

from typing import NamedTuple

from pipelines import work_folder
from pipelines.commit import DATASET_FILES
from records import layout
from records.errors import NoInputError
from records.layout import index_name
from records.storage import Storage, open_storage


class Cleaned(NamedTuple):
    """What was removed, or would be."""

    files: int
    size_bytes: int


def clean(location: str, *, dry_run: bool = False) -> Cleaned:
    """Remove an unfinished run's files from a target. A finished dataset stays as it is.

    Raises:
        NoInputError: no unfinished run is there.
        BusyError: a run is writing there now.
    """
    target = open_storage(location)
    if not work_folder.has_work(target):
        raise NoInputError("no unfinished conversion is here", path=target.url)
    if dry_run:
        return _measure(target, _files_of_run(target))
    with target.lock():
        names = _files_of_run(target)
        cleaned = _measure(target, names)
        for name in names:
            target.remove(name)
        if not any(name.startswith(f"{layout.INDEX_FOLDER}/") for name in target.list()):
            target.remove_folder(layout.INDEX_FOLDER)
        target.remove_folder(layout.WORK_FOLDER)
    return cleaned


def _files_of_run(target: Storage) -> list[str]:
    """The files outside the work folder that the run wrote, none where it came to its end."""
    run = work_folder.read_run(target)
    if run is None or target.facts(layout.MANIFEST) is not None:
        return []
    names = [*run.shards, *map(index_name, run.shards), *DATASET_FILES]
    return [name for name in names if target.facts(name) is not None]


def _measure(target: Storage, names: list[str]) -> Cleaned:
    facts = [target.facts(name) for name in names]
    return Cleaned(len(names), sum(f.size_bytes for f in facts if f is not None))
