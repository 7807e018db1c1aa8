"""Creation of runs, and the lock that the training process holds."""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import LockedError, OutputError, UsageError
from records.format.label_map import LabelMap, format_labels
from records.format.layout import LABELS, MANIFEST
from records.storage import is_url
from records.storage.atomic import open_locked
from trainers.config import RunConfig, encode_config
from trainers.runs.run_dir import (
    CHECKPOINTS,
    CONFIG,
    RESULT,
    TENSORBOARD,
    TRAINING_IMAGES,
    Run,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def require_empty(
    location: str | os.PathLike[str], *, dataset: str | os.PathLike[str] | None = None
) -> Path:
    """Return the path of the folder of a new run, which is absent or empty.

    Args:
        location: the path of the folder.
        dataset: the dataset to train on, for the command in the hint.

    Raises:
        OutputError: the folder contains files, or is a file.
        UsageError: the location is a URL.
    """
    text = os.fspath(location)
    if is_url(text):
        raise UsageError("a run folder must be local", got=text)
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise OutputError("the run folder is an existing file", path=text)
    if not path.is_dir() or not any(path.iterdir()):
        return path
    raise OutputError(
        f"the folder contains {_describe_content(path)} and is not overwritten",
        path=text,
        hint=_advise(path, text, dataset),
    )


def _advise(path: Path, run: str, dataset: str | os.PathLike[str] | None) -> str:
    """Return the command that continues the run in a folder, if the folder has one."""
    if not (path / CONFIG).is_file():
        return "choose a different folder"
    resume = "--resume"
    if dataset is not None:
        resume = shlex.join(["shardmill", "train", os.fspath(dataset), run, "--resume"])
    if (path / RESULT).is_file():
        return f"train it for longer with `{resume} --epochs N`, or choose a different folder"
    return f"continue it with `{resume}`, or choose a different folder"


def _describe_content(path: Path) -> str:
    if (path / RESULT).is_file():
        return "a finished run"
    if (path / CONFIG).is_file():
        return "an unfinished run"
    return "a dataset" if (path / MANIFEST).is_file() else "files"


@contextmanager
def open_for_writing(path: Path, config: RunConfig, labels: LabelMap) -> Iterator[Run]:
    """Yield a new or unfinished run, locked by this process.

    At the end of the block, a run that has neither weights nor checkpoints is removed.

    Raises:
        LockedError: another process is training this run.
        OutputError: the run cannot be written, or another process has created a run there.
    """
    run = (
        Run(path, config, labels) if (path / CONFIG).is_file() else create_run(path, config, labels)
    )
    lock = _lock(path)
    try:
        if run.read(CONFIG) != encode_config(config):
            run.write(CONFIG, encode_config(config))
        (path / RESULT).unlink(missing_ok=True)  # a resumed run is not finished
        try:
            yield run
        finally:
            remove_if_empty(run)
    finally:
        os.close(lock)


def _lock(path: Path) -> int:
    try:
        return open_locked(path, os.O_RDONLY)
    except BlockingIOError:
        raise LockedError(
            "another process is training this run", path=str(path), hint="try again later"
        ) from None


def create_run(path: Path, config: RunConfig, labels: LabelMap) -> Run:
    """Create a run in an empty folder.

    Raises:
        OutputError: the run cannot be written, or another process has created a run there.
        StorageError: storage failed.
    """
    run = Run(path, config, labels)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        try:
            with (path / CONFIG).open("xb") as file:
                file.write(encode_config(config))
        except FileExistsError:
            require_empty(path)
            raise
    run.write(LABELS, format_labels(labels))
    return run


def remove_if_empty(run: Run) -> None:
    """Remove the files of a run that has neither weights nor checkpoints."""
    if run.has_weights or any((run.path / CHECKPOINTS).glob("step-*")):
        return
    for name in (CONFIG, LABELS, TRAINING_IMAGES):
        (run.path / name).unlink(missing_ok=True)
    for name in (CHECKPOINTS, TENSORBOARD):
        shutil.rmtree(run.path / name, ignore_errors=True)
    if not any(run.path.iterdir()):
        run.path.rmdir()
