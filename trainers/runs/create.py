"""Where a run begins: in a folder that is free, and that is one process's as long as it trains."""

from __future__ import annotations

import os
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
from trainers.runs.run_dir import CHECKPOINTS, CONFIG, RESULT, TENSORBOARD, Run, writing

if TYPE_CHECKING:
    from collections.abc import Iterator


def require_empty(location: str | os.PathLike[str]) -> Path:
    """The folder of a new run, if nothing is there yet.

    Raises:
        OutputError: a run, or anything else, is there.
        UsageError: it is a URL.
    """
    text = os.fspath(location)
    if is_url(text):
        raise UsageError("a run folder must be local", got=text)
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise OutputError("a file is where the run's folder should be", path=text)
    if not path.is_dir() or not any(path.iterdir()):
        return path
    raise OutputError(
        f"{_what_is_in(path)} here, and it is not overwritten",
        path=text,
        hint="choose another folder for this run, or remove that one",
    )


def _what_is_in(path: Path) -> str:
    if (path / RESULT).is_file():
        return "a finished run is"
    if (path / CONFIG).is_file():
        return "an unfinished run is"
    return "a dataset is" if (path / MANIFEST).is_file() else "something is"


@contextmanager
def open_for_writing(path: Path, config: RunConfig, labels: LabelMap) -> Iterator[Run]:
    """The run to train into, new or unfinished, and nobody else's meanwhile.

    One that has nothing to go on from when the block ends is removed.

    Raises:
        LockedError: another process is training into it.
        OutputError: it cannot be written, or another process was faster to make it.
    """
    run = (
        Run(path, config, labels) if (path / CONFIG).is_file() else create_run(path, config, labels)
    )
    lock = _lock(path)
    try:
        if (path / CONFIG).read_bytes() != encode_config(config):
            run.write(CONFIG, encode_config(config))
        (path / RESULT).unlink(missing_ok=True)  # a run that goes on has not ended
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
            "another process is training into this run", path=str(path), hint="try again later"
        ) from None


def create_run(path: Path, config: RunConfig, labels: LabelMap) -> Run:
    """Begin a run in an empty folder. Raises OutputError where another one was faster."""
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
    """Remove a run that has neither weights nor a checkpoint, and nothing that is not its own."""
    if run.has_weights or any((run.path / CHECKPOINTS).glob("step-*")):
        return
    for name in (CONFIG, LABELS):
        (run.path / name).unlink(missing_ok=True)
    for name in (CHECKPOINTS, TENSORBOARD):
        shutil.rmtree(run.path / name, ignore_errors=True)
    if not any(run.path.iterdir()):
        run.path.rmdir()
