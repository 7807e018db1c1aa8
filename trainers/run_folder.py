"""A run's folder: all that a training made, and all that predicting needs.

config.json         what was asked for, and what a prediction needs to know
labels.txt          the label map
history.csv         a row an epoch, written as it ends
model.weights.h5    the weights after the last epoch that ended
curves.png          accuracy and loss by epoch
result.json         the result, written last: there ⇔ the training ended
checkpoints/        the last few, for `train --resume`
tensorboard/        what `train --tensorboard` logs
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import (
    BusyError,
    DamagedError,
    NoInputError,
    StorageError,
    TargetError,
    UsageError,
)
from records.labels import LabelMap, format_labels, parse_labels
from records.layout import LABELS, MANIFEST
from records.storage import is_url
from records.text import printable
from trainers.config import RunConfig, decode_config, encode_config

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = "config.json"
HISTORY = "history.csv"
WEIGHTS = "model.weights.h5"
CURVES = "curves.png"
RESULT = "result.json"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}


@dataclass(frozen=True)
class Run:
    """A run folder, and what is to be known of it before Keras is loaded."""

    path: Path
    config: RunConfig
    labels: LabelMap

    @property
    def has_weights(self) -> bool:
        """Whether an epoch has ended."""
        return (self.path / WEIGHTS).is_file()

    @property
    def is_finished(self) -> bool:
        """Whether the training has ended."""
        return (self.path / RESULT).is_file()

    def describe(self, name: str) -> str:
        """The path of a file in it, to show to people."""
        return printable(str(self.path / name))

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole, over one that is there. Raises TargetError or StorageError."""
        with self.replacing(name) as staged:
            staged.write_bytes(content)

    @contextmanager
    def replacing(self, name: str, *, size_bytes: int = 0) -> Iterator[Path]:
        """A path to write a file at, which gets its name when the block ends well.

        Raises:
            TargetError: it cannot be written, or there is not as much space as it will take.
            StorageError: storage failed.
        """
        # Keras wants its own ending on the file, so what is temporary stands in front.
        path = self.path / name
        staged = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
        with _writing(path):
            path.parent.mkdir(exist_ok=True)
            _check_space(path, size_bytes)
            try:
                yield staged
                _make_durable(staged)
                staged.replace(path)
                _make_durable(path.parent)
            finally:
                staged.unlink(missing_ok=True)


def check_free(location: str | os.PathLike[str]) -> Path:
    """The folder of a new run, if nothing is there yet.

    Raises:
        TargetError: a run, or anything else, is there.
        UsageError: it is a URL.
    """
    text = os.fspath(location)
    if is_url(text):
        raise UsageError("a run folder must be local", got=text)
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise TargetError("a file is where the run's folder should be", path=text)
    if not path.is_dir() or not any(path.iterdir()):
        return path
    raise TargetError(
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
def open_for_training(path: Path, config: RunConfig, labels: LabelMap) -> Iterator[Run]:
    """The run to train into, new or unfinished, and nobody else's meanwhile.

    One that has nothing to go on from when the block ends is removed.

    Raises:
        BusyError: another process is training into it.
        TargetError: it cannot be written, or another process was faster to make it.
    """
    run = (
        Run(path, config, labels) if (path / CONFIG).is_file() else create_run(path, config, labels)
    )
    folder = os.open(path, os.O_RDONLY)
    try:
        _lock(folder, path)
        if (path / CONFIG).read_bytes() != encode_config(config):
            run.write(CONFIG, encode_config(config))
        (path / RESULT).unlink(missing_ok=True)  # a run that goes on has not ended
        try:
            yield run
        finally:
            discard_run(run)
    finally:
        os.close(folder)


def _lock(folder: int, path: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BusyError(
            "another process is training into this run", path=str(path), hint="try again later"
        ) from None


def create_run(path: Path, config: RunConfig, labels: LabelMap) -> Run:
    """Begin a run in an empty folder. Raises TargetError where another one was faster."""
    run = Run(path, config, labels)
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)
        try:
            with (path / CONFIG).open("xb") as file:
                file.write(encode_config(config))
        except FileExistsError:
            check_free(path)
            raise
    run.write(LABELS, format_labels(labels))
    return run


def discard_run(run: Run) -> None:
    """Remove a run that has neither weights nor a checkpoint, and nothing that is not its own."""
    if run.has_weights or any((run.path / CHECKPOINTS).glob("step-*")):
        return
    for name in (CONFIG, LABELS):
        (run.path / name).unlink(missing_ok=True)
    for name in (CHECKPOINTS, TENSORBOARD):
        shutil.rmtree(run.path / name, ignore_errors=True)
    if not any(run.path.iterdir()):
        run.path.rmdir()


def read_config(path: Path) -> RunConfig:
    """The configuration in a run's folder. Raises DamagedError, or FileNotFoundError."""
    return decode_config((path / CONFIG).read_bytes(), path=str(path / CONFIG))


def open_run(location: str | os.PathLike[str]) -> Run:
    """A run to evaluate or to predict with.

    Raises:
        NoInputError: there is none, or no epoch of it has ended.
        DamagedError: its configuration is not one.
        UsageError: its label map is not one.
    """
    path = Path(os.fspath(location))
    try:
        config = read_config(path)
        labels = parse_labels((path / LABELS).read_bytes(), path=str(path / LABELS))
    except (FileNotFoundError, NotADirectoryError):
        raise NoInputError(
            "there is no run here",
            path=str(path),
            expected=f"a folder with {CONFIG} and {LABELS}",
            hint="make one with `shardmill train TARGET RUN`",
        ) from None
    if len(labels) != config.architecture.classes:
        raise DamagedError(
            "the label map is not this run's",
            path=str(path / LABELS),
            expected=f"{config.architecture.classes} classes",
            got=len(labels),
        )
    run = Run(path, config, labels)
    if not run.has_weights:
        raise NoInputError(
            "no epoch of this run has ended, so it has no weights yet",
            path=str(path),
            hint="wait for it, or train again into another folder",
        )
    return run


def _check_space(path: Path, size_bytes: int) -> None:
    # HDF5 cannot be relied on where a disk is full: it may end the whole process.
    free_bytes = shutil.disk_usage(path.parent).free
    if size_bytes > free_bytes:
        raise TargetError(
            "there is no space left for this file",
            path=str(path),
            expected=f"{size_bytes / 1e6:,.1f} MB",
            got=f"{free_bytes / 1e6:,.1f} MB",
            hint="make space, and train again with --resume",
        )


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = TargetError if error.errno in _CANNOT_WRITE else StorageError
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise kind("the run cannot be written", path=str(path), got=reason) from error
