"""Creation of runs, and the lock that the training process holds."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING

from records.errors import OutputError
from records.format.label_map import LabelMap, format_labels
from records.format.layout import LABELS, MANIFEST
from trainers.config import RunConfig, encode_config
from trainers.runs.digests import DIGESTS, encode_digests, forget
from trainers.runs.run_dir import (
    CHECKPOINTS,
    CONFIG,
    CURVES,
    HINT_LABELS,
    HISTORY,
    RESULT,
    TENSORBOARD,
    THRESHOLDS,
    TRAINING_IMAGES,
    WEIGHTS,
    Run,
    is_run,
)
from trainers.runs.run_folder import RunFolder, open_run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


def require_empty(
    location: str | os.PathLike[str],
    *,
    dataset: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> None:
    """Check that the folder of a new run is absent or vacant; see `RunFolder.is_vacant`.

    Args:
        location: the path or URL of the folder.
        dataset: the dataset to train on, for the command in the hint.
        resume: whether the folder may contain a run without configuration: an earlier version
            left an empty file if the disk was full.

    Raises:
        OutputError: the folder contains other files, or is a file.
        UsageError: the URL cannot be opened.
    """
    folder = open_run_folder(location)
    _require_vacant(folder, _empty_run(folder) if resume else set(), dataset)


def _require_vacant(
    folder: RunFolder, allowed: set[str], dataset: str | os.PathLike[str] | None = None
) -> None:
    if not folder.is_vacant(ignored=allowed):
        raise OutputError(
            f"the folder contains {_describe_content(folder)} and is not overwritten",
            path=folder.location,
            hint=_advise(folder, dataset),
        )


def _advise(folder: RunFolder, dataset: str | os.PathLike[str] | None) -> str:
    """Return the command that resumes the run in a folder, if the folder has one."""
    if folder.stat(CONFIG) is None:
        return "choose a different folder"
    resume = "--resume"
    if dataset is not None:
        shown = os.fspath(dataset)
        resume = shlex.join(["shardmill", "train", shown, folder.location, "--resume"])
    if folder.stat(RESULT) is not None:
        return f"train it for longer with `{resume} --epochs N`, or choose a different folder"
    return f"resume it with `{resume}`, or choose a different folder"


def _empty_run(folder: RunFolder) -> set[str]:
    """Return the files of a run whose configuration is an empty file, or is removed."""
    if is_run(folder):
        return set()
    # `remove_if_empty` may have been interrupted before it removed the digests.
    return {DIGESTS} if folder.stat(CONFIG) is None else {CONFIG, LABELS, DIGESTS}


def _describe_content(folder: RunFolder) -> str:
    if folder.stat(RESULT) is not None:
        return "a finished run"
    if folder.stat(CONFIG) is not None:
        return "an unfinished run"
    return "files" if folder.stat(MANIFEST) is None else "a dataset"


@contextmanager
def open_for_writing(
    location: str | os.PathLike[str], config: RunConfig, labels: LabelMap
) -> Iterator[Run]:
    """Yield a new or unfinished run, locked by this process.

    Files that a killed process left are removed, and a missing label map is written. At the end of
    the block, a run that has neither weights nor checkpoints is removed.

    Args:
        location: the path or URL of the run.
        config: the configuration.
        labels: the label map.

    Raises:
        LockedError: another process is training this run.
        CorruptDataError: a file of the run is damaged.
        OutputError: the run cannot be written, or another process has created a run there.
        StorageError: storage failed.
    """
    run = Run(open_run_folder(location), config, labels)

    def create_missing() -> None:
        if not is_run(run.folder):
            _create(run)

    with run.folder.lock(create_missing):
        run.folder.remove_leftovers("", CHECKPOINTS)
        if run.read(CONFIG) != encode_config(config):
            run.write(CONFIG, encode_config(config))
        complete_run(run)
        if run.has_weights:
            run.check(WEIGHTS)
        run.folder.remove(RESULT)  # a resumed run is not finished
        forget(run.folder, (RESULT, HISTORY, CURVES))
        try:
            yield run
        finally:
            remove_if_empty(run)


def complete_run(run: Run) -> None:
    """Check the label map, or write it again if it is missing. Raises as `Run.write`."""
    found = run.folder.stat(LABELS)
    if found is not None and found.size_bytes:
        run.check(LABELS, hint=HINT_LABELS)
    else:
        run.write(LABELS, format_labels(run.labels))


def create_run(location: str | os.PathLike[str], config: RunConfig, labels: LabelMap) -> Run:
    """Create a run in a vacant folder, all of its files in one step if the storage can.

    Raises:
        LockedError: another process is writing to the folder.
        OutputError: the run cannot be written, or another process has created a run there.
        StorageError: storage failed.
    """
    run = Run(open_run_folder(location), config, labels)
    with run.folder.lock(lambda: _create(run)):
        return run


def _create(run: Run) -> None:
    folder = run.folder
    empty = _empty_run(folder)
    _require_vacant(folder, empty)
    for name in empty:
        folder.remove(name)
    contents = {LABELS: format_labels(run.labels), CONFIG: encode_config(run.config)}
    with folder.new(last=CONFIG) as new:
        (new / DIGESTS).write_bytes(encode_digests(contents))
        for name, content in contents.items():
            (new / name).write_bytes(content)


def remove_if_empty(run: Run) -> None:
    """Remove the files of a run that has neither weights nor checkpoints."""
    folder = run.folder
    if run.has_weights or any("/step-" in name for name in folder.list(CHECKPOINTS)):
        return
    for name in folder.list(TENSORBOARD):
        if name.startswith(f"{TENSORBOARD}/events.out.tfevents."):
            folder.remove(name)
    for name in (CHECKPOINTS, TENSORBOARD):
        folder.remove_empty_folder(name)
    # Without its configuration, the folder is not a run that --resume completes.
    for name in (LABELS, TRAINING_IMAGES, THRESHOLDS, CONFIG, DIGESTS):
        folder.remove(name)
    folder.remove_empty_folder()
