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

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import CorruptDataError, InputNotFoundError, OutputError
from records.format.label_map import LabelMap, parse_labels
from records.format.layout import LABELS
from records.storage.atomic import atomic_file
from records.storage.errors import translate_write_errors
from records.text.escaping import escape_for_display
from trainers.config import RunConfig, decode_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

CONFIG = "config.json"
HISTORY = "history.csv"
WEIGHTS = "model.weights.h5"
CURVES = "curves.png"
RESULT = "result.json"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"


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
        return escape_for_display(str(self.path / name))

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole, over one that is there. Raises OutputError or StorageError."""
        with self.replacing(name) as staged:
            staged.write_bytes(content)

    @contextmanager
    def replacing(self, name: str, *, size_bytes: int = 0) -> Iterator[Path]:
        """A path to write a file at, which gets its name when the block ends well.

        Raises:
            OutputError: it cannot be written, or there is not as much space as it will take.
            StorageError: storage failed.
        """
        path = self.path / name
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            _check_space(path, size_bytes)
            with atomic_file(path) as staged:
                yield staged


def read_config(path: Path) -> RunConfig:
    """The configuration in a run's folder. Raises CorruptDataError, or FileNotFoundError."""
    return decode_config((path / CONFIG).read_bytes(), path=str(path / CONFIG))


def open_run(location: str | os.PathLike[str]) -> Run:
    """A run to evaluate or to predict with.

    Raises:
        InputNotFoundError: there is none, or no epoch of it has ended.
        CorruptDataError: its configuration is not one.
        UsageError: its label map is not one.
    """
    path = Path(os.fspath(location))
    try:
        config = read_config(path)
        labels = parse_labels((path / LABELS).read_bytes(), path=str(path / LABELS))
    except (FileNotFoundError, NotADirectoryError):
        raise InputNotFoundError(
            "there is no run here",
            path=str(path),
            expected=f"a folder with {CONFIG} and {LABELS}",
            hint="make one with `shardmill train TARGET RUN`",
        ) from None
    if len(labels) != config.architecture.classes:
        raise CorruptDataError(
            "the label map is not this run's",
            path=str(path / LABELS),
            expected=f"{config.architecture.classes} classes",
            got=len(labels),
        )
    run = Run(path, config, labels)
    if not run.has_weights:
        raise InputNotFoundError(
            "this run has written no weights yet",
            path=str(path),
            hint="wait for it, or go on with it by `shardmill train --resume`",
        )
    return run


def _check_space(path: Path, size_bytes: int) -> None:
    # HDF5 cannot be relied on where a disk is full: it may end the whole process.
    free_bytes = shutil.disk_usage(path.parent).free
    if size_bytes > free_bytes:
        raise OutputError(
            "there is no space left for this file",
            path=str(path),
            expected=f"{size_bytes / 1e6:,.1f} MB",
            got=f"{free_bytes / 1e6:,.1f} MB",
            hint="make space, and train again with --resume",
        )


def writing(path: Path) -> AbstractContextManager[None]:
    """Translate OSError of writing to a run. Raises OutputError or StorageError."""
    hint = "fix this and continue with `shardmill train --resume`"
    return translate_write_errors(str(path), what="the run", hint=hint)
