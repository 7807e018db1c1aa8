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

from dataclasses import dataclass
from typing import TYPE_CHECKING

from records.errors import CorruptDataError, InputNotFoundError
from records.format.digest import digest_of
from records.format.label_map import LabelMap, parse_labels
from records.format.layout import LABELS
from records.text.formatting import pluralize
from trainers.config import RunConfig, decode_config
from trainers.runs.digests import RESTORE, check_file, checked_file, read_checked, recording
from trainers.runs.run_folder import RunFolder, open_run_folder
from trainers.tasks import task_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

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
    """A run folder, its configuration and its label map.

    The label map of a run that predicts a number has the name of the target.
    """

    folder: RunFolder
    config: RunConfig
    labels: LabelMap

    @property
    def location(self) -> str:
        """Return the path as given, or the URL without credentials, of the run folder."""
        return self.folder.location

    @property
    def has_weights(self) -> bool:
        """Return whether the run has weights, which are written at the end of an epoch."""
        return self.has(WEIGHTS)

    @property
    def is_finished(self) -> bool:
        """Return whether the run is finished."""
        return self.has(RESULT)

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
        """Return the path or URL of a file in the run folder, for messages."""
        return self.folder.display_name(name)

    def has(self, name: str) -> bool:
        """Return whether the run has a file."""
        return self.folder.stat(name) is not None

    def read(self, name: str, *, hint: str = RESTORE) -> bytes:
        """Return the content of a file of the run, checked. Raises as `read_checked`."""
        return read_checked(self.folder, name, hint=hint)

    def check(self, name: str, *, hint: str = RESTORE) -> None:
        """Check the digest of a file of the run. Raises as `read_checked`."""
        check_file(self.folder, name, hint=hint)

    def checked_file(self, name: str, *, hint: str = RESTORE) -> AbstractContextManager[Path]:
        """Yield the local path of a file of the run, checked; see `digests.checked_file`."""
        return checked_file(self.folder, name, hint=hint)

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file of the run atomically, and record its digest.

        Raises:
            CorruptDataError: `digests.json` is damaged.
            LockedError: another process has taken over the lease of the run.
            OutputError: the file cannot be written.
            StorageError: storage failed.
        """
        self.write_all({name: content})

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        """Write or replace files in this order, each atomically. Raises as `write`."""
        digests = {name: digest_of(content) for name, content in contents.items()}
        with recording(self.folder, digests):
            for name, content in contents.items():
                self.write_unrecorded(name, content)

    def write_unrecorded(self, name: str, content: bytes) -> None:
        """Write or replace a file that no command reads. Raises OutputError or StorageError."""
        self.folder.write(name, content)


def is_run(folder: RunFolder) -> bool:
    """Return whether a folder is a run: it has a configuration, which is not empty."""
    config = folder.stat(CONFIG)
    return config is not None and config.size_bytes > 0


def read_config(folder: RunFolder) -> RunConfig:
    """Return the configuration in a run folder. Raises as `read_checked`."""
    return decode_config(read_checked(folder, CONFIG), path=folder.display_name(CONFIG))


def open_run(location: str | os.PathLike[str]) -> Run:
    """Open a run that has weights, for evaluation or prediction.

    Args:
        location: the path or URL of the run.

    Raises:
        InputNotFoundError: the folder is not a run, or the run has no weights yet.
        CorruptDataError: the configuration or the label map is damaged.
        UsageError: the label map is invalid, or the URL cannot be opened.
        StorageError: storage failed.
    """
    folder = open_run_folder(location)
    path = folder.display_name(LABELS)
    try:
        config = read_config(folder)
        labels = parse_labels(read_checked(folder, LABELS, hint=HINT_LABELS), path=path)
    except (FileNotFoundError, NotADirectoryError):
        if is_run(folder):
            raise CorruptDataError(
                "a file of the run is missing",
                path=path,
                hint="`shardmill train DATASET RUN --resume` completes the run",
            ) from None
        raise InputNotFoundError(
            "not a run folder",
            path=folder.location,
            expected=f"a folder with {CONFIG} and {LABELS}",
            hint="create one with `shardmill train DATASET RUN`",
        ) from None
    if len(labels) != config.architecture.classes:
        raise CorruptDataError(
            "the label map does not match the run",
            path=path,
            expected=pluralize(config.architecture.classes, "class"),
            got=len(labels),
        )
    run = Run(folder, config, labels)
    if not run.has_weights:
        raise InputNotFoundError(
            "this run has no weights yet",
            path=folder.location,
            hint="wait until an epoch ends, or continue the run with `shardmill train --resume`",
        )
    folder.open(WEIGHTS).close()  # HDF5 opens the path, and would follow a link
    return run
