"""Run folder and its files.

config.json         the options, and the other settings that a prediction needs
options.toml        the options, for `train --config`; no command reads it as a part of the run
labels.txt          the label map; the name of the target if the model predicts a number
training_images.u64 hashes of the training images; see `trained_images`
history.csv         one row per epoch, written at the end of the epoch
model.weights.h5    the weights of the best epoch, which commands use by default
thresholds.json     the thresholds of these weights
last.weights.h5     the weights of the last epoch
last.thresholds.json  the thresholds of these weights
class_means.json    the class means of the weights of the best epoch; see `trainers.class_means`
curves.png          accuracy, mean average precision or R², and loss, by epoch
result.json         the result, written last; it exists only if the run is finished
digests.json        the SHA-256 of each file that a command reads; see `digests`
checkpoints/        the newest checkpoints, for `train --resume`
tensorboard/        the logs of `train --log tensorboard`
loggers.json        the ids of the run in the services of `train --log`, with which it resumes
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from records.errors import CorruptDataError, InputNotFoundError
from records.format.digest import digest_of
from records.format.label_map import LabelMap, parse_labels
from records.format.layout import LABELS
from records.text.formatting import pluralize
from trainers.config import RunConfig, decode_config
from trainers.runs.digests import RESTORE, check_file, checked_file, read_checked, recording
from trainers.runs.notebook import run_html
from trainers.runs.run_folder import RunFolder, open_run_folder
from trainers.tasks import task_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from trainers.options import KeptWeights

CONFIG = "config.json"
OPTIONS = "options.toml"
HISTORY = "history.csv"
WEIGHTS = "model.weights.h5"
THRESHOLDS = "thresholds.json"
LAST_WEIGHTS = "last.weights.h5"
LAST_THRESHOLDS = "last.thresholds.json"
CLASS_MEANS = "class_means.json"
CURVES = "curves.png"
RESULT = "result.json"
TRAINING_IMAGES = "training_images.u64"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
LOGGERS = "loggers.json"
HINT_LABELS = "remove this file, and `shardmill train DATASET RUN --resume` writes it again"


@dataclass(frozen=True)
class Run:
    """A run folder, its configuration and its label map.

    The label map of a run that predicts a number has the name of the target.

    Args:
        folder: the run folder.
        config: the configuration.
        labels: the label map.
        weights: the weights to use: those of the best or of the last epoch.
    """

    folder: RunFolder
    config: RunConfig
    labels: LabelMap
    weights: KeptWeights = "best"

    @property
    def location(self) -> str:
        """Return the path as given, or the URL without credentials, of the run folder."""
        return self.folder.location

    @property
    def weights_file(self) -> str:
        """Return the name of the file with the weights to use."""
        return WEIGHTS if self.weights == "best" else LAST_WEIGHTS

    @property
    def thresholds_file(self) -> str:
        """Return the name of the file with the thresholds of the weights to use."""
        return THRESHOLDS if self.weights == "best" else LAST_THRESHOLDS

    @property
    def has_weights(self) -> bool:
        """Return whether the run has weights, which are written at the end of an epoch."""
        return self.has(self.weights_file)

    @property
    def is_finished(self) -> bool:
        """Return whether the run is finished."""
        return self.has(RESULT)

    @property
    def prediction_files(self) -> dict[str, str]:
        """Return the files that a prediction needs, by their names in a copy of the run.

        In the copy, the weights to use are those of the best epoch.
        """
        files = {CONFIG: CONFIG, LABELS: LABELS, WEIGHTS: self.weights_file}
        if self.has_thresholds or self.has(self.thresholds_file):
            files[THRESHOLDS] = self.thresholds_file
        if self.has_class_means:
            files[CLASS_MEANS] = CLASS_MEANS
        return files

    @property
    def has_thresholds(self) -> bool:
        """Return whether each class has a threshold, because images have any number of labels."""
        return task_of(self.config).has_thresholds

    @property
    def has_class_means(self) -> bool:
        """Return whether the run has the class means of the weights to use."""
        return self.weights == "best" and self.has(CLASS_MEANS)

    @property
    def target(self) -> str | None:
        """Return the name of the column that the run predicts; None if it predicts classes."""
        target = self.config.architecture.target
        return None if target is None else target.name

    def _repr_html_(self) -> str:
        options = self.config.options
        facts = (
            ("run", self.location),
            ("model", options.model),
            ("mode", options.mode),
            ("task", self.config.task),
            ("dataset", self.config.dataset),
            (
                "outputs",
                pluralize(len(self.labels), "class") if self.target is None else self.target,
            ),
        )
        return run_html(facts, lambda: self.read(CURVES))

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


def has_folds(folder: RunFolder) -> bool:
    """Return whether a folder has the runs of a cross-validation; see `fold_folders`."""
    return folder.stat(f"fold-1/{CONFIG}") is not None


def read_config(folder: RunFolder) -> RunConfig:
    """Return the configuration in a run folder. Raises as `read_checked`."""
    return decode_config(read_checked(folder, CONFIG), path=folder.display_name(CONFIG))


def open_run(location: str | os.PathLike[str] | Run, weights: KeptWeights | None = None) -> Run:
    """Open a run that has weights, for evaluation or prediction.

    Args:
        location: the path or URL of the run, or an open run.
        weights: the weights to use; None means those of the open run, or of the best epoch.

    Raises:
        InputNotFoundError: the folder is not a run, or the run has no weights yet.
        CorruptDataError: the configuration or the label map is damaged.
        UsageError: the label map is invalid, or the URL cannot be opened.
        StorageError: storage failed.
    """
    if isinstance(location, Run):
        return location if weights is None else _require_weights(replace(location, weights=weights))
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
        if has_folds(folder):
            raise InputNotFoundError(
                "this is the folder of a cross-validation, not of one run",
                path=folder.location,
                hint=f"name the run of a fold, such as {folder.display_name('fold-1')}",
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
    return _require_weights(Run(folder, config, labels, weights or "best"))


def _require_weights(run: Run) -> Run:
    """Return a run if it has the weights to use; otherwise, raise InputNotFoundError."""
    if not run.has_weights and run.has(WEIGHTS):
        raise InputNotFoundError(
            "this run, of an earlier version, has no separate weights of its last epoch",
            path=run.location,
            hint="omit --weights last",
        )
    if not run.has_weights:
        raise InputNotFoundError(
            "this run has no weights yet",
            path=run.location,
            hint="wait until an epoch ends, or continue the run with `shardmill train --resume`",
        )
    run.folder.open(run.weights_file).close()  # HDF5 opens the path, and would follow a link
    return run
