"""Creation of runs, and the lock that the training process holds."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING

from records.errors import OutputError, ShardmillError
from records.format.label_map import LabelMap, format_labels
from records.format.layout import LABELS, MANIFEST
from trainers.config import RunConfig, encode_config
from trainers.options_file import encode_options
from trainers.runs.digests import DIGESTS, encode_digests, forget
from trainers.runs.run_dir import (
    CHECKPOINTS,
    CLASS_MEANS,
    CONFIG,
    CURVES,
    HINT_LABELS,
    HISTORY,
    LAST_THRESHOLDS,
    LAST_WEIGHTS,
    LOGGERS,
    OPTIONS,
    RESULT,
    TENSORBOARD,
    THRESHOLDS,
    TRAINING_IMAGES,
    WEIGHTS,
    Run,
    has_folds,
    is_run,
    read_config,
)
from trainers.runs.run_folder import RunFolder, open_run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

# Without its configuration, the folder is not a run that --resume completes.
_OF_AN_EMPTY_RUN = (
    OPTIONS, LABELS, TRAINING_IMAGES, LAST_THRESHOLDS, LAST_WEIGHTS, THRESHOLDS, LOGGERS, CONFIG,
    DIGESTS,
)  # fmt: skip


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
    """Return the command that resumes the run, or all folds, in a folder, if it has them."""
    if folder.stat(CONFIG) is None and not has_folds(folder):
        return "choose a different folder"
    config, resume = _find_config(folder), "--resume"
    if dataset is not None:
        shown = os.fspath(dataset)
        command = ["shardmill", "train", shown, folder.location, *_model_option(config), "--resume"]
        resume = shlex.join(command)
    if folder.stat(RESULT) is not None:
        if config is not None and config.time_limit_seconds is not None:
            return "choose a different folder"
        return f"train it for longer with `{resume} --epochs N`, or choose a different folder"
    return f"resume it with `{resume}`, or choose a different folder"


def _find_config(folder: RunFolder) -> RunConfig | None:
    """Return the configuration of a run; None if it does not exist, or is damaged."""
    try:
        return read_config(folder) if is_run(folder) else None
    except ShardmillError:  # the command that resumes the run reports a damaged configuration
        return None


def _model_option(config: RunConfig | None) -> list[str]:
    """Return the option for the model of a run that is named `package.module:builder`."""
    model = "" if config is None else config.options.model
    return ["--model", model] if ":" in model else []


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
    if has_folds(folder):
        return "a cross-validation"
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
        run.folder.remove(CLASS_MEANS)  # they belong to the current weights
        forget(run.folder, (RESULT, CLASS_MEANS, HISTORY, CURVES))
        try:
            run.write_unrecorded(OPTIONS, encode_options(config.options))
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
    for name in _OF_AN_EMPTY_RUN:
        folder.remove(name)
    folder.remove_empty_folder()
