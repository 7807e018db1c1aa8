"""Removal of unfinished runs.

Only files whose content the run has recorded are removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import NamedTuple

import xxhash

from pipelines import run_state
from pipelines.writing.own_index import is_own_index
from pipelines.writing.publish import derived_files, read_published
from records.errors import InputNotFoundError
from records.format.layout import (
    index_name,
    is_dataset_file,
    measured_shard,
    parse_shard_name,
)
from records.format.manifest import Manifest, file_names
from records.format.metadata.card_file import update_card
from records.generations import saved_files
from records.storage import Storage, open_storage
from records.storage.local import LocalStorage
from records.storage.ownership import is_own, recorded_hashes, write_own
from records.storage.work_folder import remove_own_files, warn_kept


class CleanReport(NamedTuple):
    """The number and size of the removed files or, in a dry run, of the files to remove."""

    files: int
    size_bytes: int


def clean(location: str, *, dry_run: bool = False) -> CleanReport:
    """Remove the files of an unfinished run. Of a finished dataset, only the card can change.

    A file that has the name of a dataset file, but that the run did not write, is kept; one line of
    the log names the first of them.

    Args:
        location: the path or URL of the output.
        dry_run: whether to only report the files, and remove nothing.

    Raises:
        InputNotFoundError: the output has no unfinished run.
        OutputError: a file cannot be removed, or the manifest in the output is damaged.
        LockedError: a run is writing to the output.
    """
    output = open_storage(location)
    if not run_state.has_state(output):
        raise InputNotFoundError("no unfinished run found", path=output.url)
    if dry_run:
        return _measure(output, _RunFiles(output).unpublished())
    with output.lock():
        files = _RunFiles(output)
        report = _measure(output, files.unpublished())
        remove_run(output)
        warn_kept(output, [name for name in output.list() if files.is_unknown(name)])
    return report


def finish_run(output: Storage, manifest: Manifest, *, has_grid: bool) -> None:
    """Remove the state of a run that has published this manifest in a locked output.

    The dataset card then describes the published dataset.
    """
    update_card(output, manifest, has_grid=has_grid)
    remove_own_files(output)


def remove_run(output: Storage, *, keep: str | None = None) -> None:
    """Remove the files and the state of a run from a locked output, and its empty folders.

    Files of the dataset that the run has replaced before its manifest get their content back. The
    dataset card then describes the published dataset.

    Args:
        output: the output.
        keep: a folder in the work folder whose files remain.
    """
    files = _RunFiles(output)
    folders = files.folders()
    for name in files.unpublished():
        output.remove(name)
    for name, content in files.replaced():
        write_own(output, name, content)
    if files.manifest is not None:
        update_card(output, files.manifest)
    remove_own_files(output, keep=keep)
    if isinstance(output, LocalStorage):
        for folder in folders:
            output.remove_if_empty(folder)


class _RunFiles:
    """The files that a run has written outside its work folder. Raises OutputError."""

    def __init__(self, output: Storage) -> None:
        self._output = output
        self.manifest = read_published(output)
        self._present = set() if self.manifest is None else file_names(self.manifest)
        self._hashes = recorded_hashes(output)
        self._shards = {index_name(name): name for name in self._hashes if parse_shard_name(name)}

    @cached_property
    def _earlier(self) -> set[str]:
        """The files of earlier generations: read only if a file is not of the present one."""
        return set() if self.manifest is None else saved_files(self._output)

    def unpublished(self) -> list[str]:
        """Return the files that do not belong to the finished dataset in the output, sorted."""
        # Measurements belong to the dataset if their shard does.
        names = {*self._hashes, *self._shards}
        unknown = (name for name in names if self.is_unknown(measured_shard(name) or name))
        return [name for name in sorted(unknown) if self._is_own(name)]

    def _is_own(self, name: str) -> bool:
        if name in self._shards:
            return is_own_index(self._output, self._shards[name])
        return is_own(self._output, name)

    def is_unknown(self, name: str) -> bool:
        """Return whether a dataset file of this name does not belong to the finished dataset."""
        if not is_dataset_file(name) or name in self._present:
            return False
        return name not in self._earlier

    def folders(self) -> list[str]:
        """Return the folders of the files that the run has recorded, the inner ones first."""
        names = {*self._hashes, *self._shards}
        found = {str(folder) for name in names for folder in PurePosixPath(name).parents}
        return sorted(found - {"."}, key=len, reverse=True)

    def replaced(self) -> Iterator[tuple[str, bytes]]:
        """Yield the label map and the TFDS metadata that differ from the manifest."""
        if self.manifest is None or not self._hashes:
            return
        for name, content in derived_files(self.manifest).items():
            others = self._hashes.get(name, set()) - {xxhash.xxh3_128_hexdigest(content)}
            if others and is_own(self._output, name):
                yield name, content


def _measure(output: Storage, names: list[str]) -> CleanReport:
    files = [output.stat(name) for name in names]
    return CleanReport(len(names), sum(file.size_bytes for file in files if file is not None))
