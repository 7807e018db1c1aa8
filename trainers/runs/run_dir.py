"""Run folder and its files.

config.json         the options, and the other settings that a prediction needs
labels.txt          the label map; the name of the target if the model predicts a number
training_images.u64 hashes of the training images; see `trained_images`
history.csv         one row per epoch, written at the end of the epoch
model.weights.h5    the weights of the last or the best epoch
thresholds.json     the threshold of each class, if the task has thresholds
curves.png          accuracy, mean average precision or R², and loss, by epoch
result.json         the result, written last; it exists only if the run is finished
digests.json        the SHA-256 of each file that a command reads; see `digests`
checkpoints/        the newest checkpoints, for `train --resume`
tensorboard/        the logs of `train --tensorboard`
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import CorruptDataError, InputNotFoundError
from records.format.digest import digest_of
from records.format.label_map import LabelMap, parse_labels
from records.format.layout import LABELS
from records.storage.atomic import atomic_file
from records.storage.errors import translate_write_errors
from records.storage.local import LocalStorage
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.config import RunConfig, decode_config
from trainers.runs.digests import RESTORE, check_file, read_checked, recording
from trainers.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

CONFIG = "config.json"
HISTORY = "history.csv"
WEIGHTS = "model.weights.h5"
THRESHOLDS = "thresholds.json"
CURVES = "curves.png"
RESULT = "result.json"
TRAINING_IMAGES = "training_images.u64"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
HINT_LABELS = "remove this file, and `shardmill train DATASET RUN --resume` writes it again"


@dataclass(frozen=True)
class Run:
    """A run folder, its configuration and its label map; a relative path becomes absolute.

    The label map of a run that predicts a number has the name of the target.
    """

    path: Path
    config: RunConfig
    labels: LabelMap

    def __post_init__(self) -> None:
        # A later chdir, or another process, has no effect.
        object.__setattr__(self, "path", self.path.absolute())

    @property
    def has_weights(self) -> bool:
        """Return whether the run has weights, which are written at the end of an epoch."""
        return (self.path / WEIGHTS).is_file()

    @property
    def is_finished(self) -> bool:
        """Return whether the run is finished."""
        return (self.path / RESULT).is_file()

    @property
    def prediction_files(self) -> tuple[str, ...]:
        """Return the names of the files that a prediction needs."""
        return CONFIG, LABELS, WEIGHTS, *((THRESHOLDS,) * self.has_thresholds)

    @property
    def has_thresholds(self) -> bool:
        """Return whether each class has a threshold, because images have any number of labels."""
        return task_of(self.config).has_thresholds

    @property
    def target(self) -> str | None:
        """Return the name of the column that the run predicts; None if it predicts classes."""
        target = self.config.architecture.target
        return None if target is None else target.name

    def describe(self, name: str) -> str:
        """Return the path of a file in the run folder, for messages."""
        return escape_for_display(str(self.path / name))

    def read(self, name: str) -> bytes:
        """Return the content of a file of the run, checked. Raises as `read_checked`."""
        return read_checked(self.path, name)

    def check(self, name: str, *, hint: str = RESTORE) -> None:
        """Check the digest of a file of the run. Raises as `read_checked`."""
        check_file(self.path, name, hint=hint)

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file of the run atomically, and record its digest.

        Raises:
            CorruptDataError: `digests.json` is damaged.
            OutputError: the file cannot be written.
            StorageError: storage failed.
        """
        self.write_all({name: content})

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        """Write or replace files in this order, each atomically. Raises as `write`."""
        digests = {name: digest_of(content) for name, content in contents.items()}
        with writing(self.path), recording(self.path, digests):
            for name, content in contents.items():
                self.write_unrecorded(name, content)

    def write_unrecorded(self, name: str, content: bytes) -> None:
        """Write or replace a file that no command reads. Raises OutputError or StorageError."""
        path = self.path / name
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            with atomic_file(path) as staged:
                staged.write_bytes(content)


def is_run(path: Path) -> bool:
    """Return whether a folder is a run: it has a configuration, which is not empty."""
    config = path / CONFIG
    return config.is_file() and config.stat().st_size > 0


def read_config(path: Path) -> RunConfig:
    """Return the configuration in a run folder. Raises as `read_checked`."""
    return decode_config(read_checked(path, CONFIG), path=str(path / CONFIG))


def open_run(location: str | os.PathLike[str]) -> Run:
    """Open a run that has weights, for evaluation or prediction.

    Raises:
        InputNotFoundError: the folder is not a run, or the run has no weights yet.
        CorruptDataError: the configuration or the label map is damaged.
        UsageError: the label map is invalid.
    """
    path = Path(os.fspath(location))
    try:
        config = read_config(path)
        labels = parse_labels(read_checked(path, LABELS, hint=HINT_LABELS), path=str(path / LABELS))
    except (FileNotFoundError, NotADirectoryError):
        if is_run(path):
            raise CorruptDataError(
                "a file of the run is missing",
                path=str(path / LABELS),
                hint="`shardmill train DATASET RUN --resume` completes the run",
            ) from None
        raise InputNotFoundError(
            "not a run folder",
            path=str(path),
            expected=f"a folder with {CONFIG} and {LABELS}",
            hint="create one with `shardmill train DATASET RUN`",
        ) from None
    if len(labels) != config.architecture.classes:
        raise CorruptDataError(
            "the label map does not match the run",
            path=str(path / LABELS),
            expected=pluralize(config.architecture.classes, "class"),
            got=len(labels),
        )
    run = Run(path, config, labels)
    if not run.has_weights:
        raise InputNotFoundError(
            "this run has no weights yet",
            path=str(path),
            hint="wait until an epoch ends, or continue the run with `shardmill train --resume`",
        )
    LocalStorage(str(path)).open(WEIGHTS).close()  # HDF5 opens the path, and would follow a link
    return run


def writing(path: Path) -> AbstractContextManager[None]:
    """Translate an OSError that writing to a run raises, to OutputError or StorageError."""
    hint = "fix this and resume with `shardmill train --resume`"
    return translate_write_errors(str(path), what="the run", hint=hint)
