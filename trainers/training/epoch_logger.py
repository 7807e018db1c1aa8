"""Results of each epoch: weights, history, TensorBoard logs."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from records.errors import OutputError
from trainers.models.weights_file import encode_weights
from trainers.runs.history import EpochMetrics, encode_history
from trainers.runs.run_dir import HISTORY, TENSORBOARD, THRESHOLDS, WEIGHTS, Run
from trainers.runs.thresholds import replace_thresholds
from trainers.training.early_stopping import EarlyStopping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.models.build import Network
    from trainers.training.phases import Phase
    from trainers.training.plan import TrainingPlan
    from trainers.training.progress import Progress

_SAVE_SECONDS = 15.0


class EpochLogger:
    """Saves and reports the result of each epoch.

    Args:
        plan: the plan of the run.
        run: the run folder, for weights, history and logs.
        network: the network whose weights are saved.
        epochs: the results of the epochs that earlier processes completed.
        progress: the object that is notified of each step and epoch.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        run: Run,
        network: Network,
        epochs: Sequence[EpochMetrics],
        *,
        progress: Progress,
    ) -> None:
        options = plan.config.options
        self.epochs = list(epochs)
        self._plan, self._run, self._network = plan, run, network
        self._progress = progress
        self._tensorboard = TensorBoardWriter(run) if options.tensorboard else None
        self._early_stopping = EarlyStopping(options.early_stopping)
        # The first epoch saves its weights without waiting, so that a long run can predict early.
        # If a head trains from features, epochs are short, so its first save waits as well.
        is_fast = plan.reads_features(plan.phases[-1])
        self._saved_at = time.monotonic() if is_fast else -math.inf

    def log_step(self, step: int, epoch_step: int, metrics: dict[str, float]) -> None:
        """Report the metrics of the current epoch after its first `epoch_step` steps."""
        self._progress.end_step(epoch_step, metrics)
        if self._tensorboard is not None:
            self._tensorboard.write_step(step, metrics)

    def log_epoch(
        self,
        result: EpochMetrics,
        phase: Phase,
        step: int,
        thresholds: tuple[float, ...] | None = None,
    ) -> None:
        """Save the result of an epoch.

        Args:
            result: the metrics of the epoch.
            phase: the phase of the epoch.
            step: the number of steps of the run after which the epoch ended.
            thresholds: the threshold of each class, if the task has thresholds.

        Raises:
            OutputError: the run cannot be written.
        """
        self.epochs.append(result)
        if self._should_save(phase, step):
            # A run that has weights has thresholds too, also if the process is killed in between.
            weights, files = encode_weights(self._network.model), {}
            if thresholds is not None:
                files[THRESHOLDS] = replace_thresholds(self._run, thresholds, weights)
            self._run.write_all({**files, WEIGHTS: weights})
            self._saved_at = time.monotonic()
        self._run.write_unrecorded(HISTORY, encode_history(self.epochs))
        if self._tensorboard is not None:
            self._tensorboard.write_epoch(step, result)
        self._progress.end_epoch(result)

    def saved_epoch(self) -> EpochMetrics:
        """Return the epoch whose weights are kept at the end of the run."""
        return self._early_stopping.saved_epoch(self._epochs_of(self._plan.phases[-1]))

    def should_stop(self, phase: Phase) -> bool:
        """Return whether early stopping ends a phase; only the last phase can end early."""
        is_last = phase is self._plan.phases[-1]
        return is_last and self._early_stopping.should_stop(self._epochs_of(phase))

    def describe_early_stop(self) -> str:
        """Return the line for the user about a run that early stopping has ended."""
        return (
            f"early stopping after epoch {self.epochs[-1].epoch}: the validation loss was lowest "
            f"in epoch {self.saved_epoch().epoch}, whose weights are kept"
        )

    def _should_save(self, phase: Phase, step: int) -> bool:
        if self._early_stopping.patience is not None:
            return self._early_stopping.saved_epoch(self._epochs_of(phase)) is self.epochs[-1]
        # Without the interval, a run with epochs of one second would mostly write weights.
        return step == phase.end_step or time.monotonic() >= self._saved_at + _SAVE_SECONDS

    def _epochs_of(self, phase: Phase) -> list[EpochMetrics]:
        return self.epochs[phase.first_step // self._plan.epoch_steps :]


class TensorBoardWriter:
    """Writes metrics to `RUN/tensorboard`; each process of a resumed run adds a file.

    If the run is at a URL, the file is in the temporary folder, and is uploaded after each epoch.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        folder = run.folder.local_path(TENSORBOARD)
        self._uploads = folder is None
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="shardmill-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def write_step(self, step: int, metrics: dict[str, float]) -> None:
        """Write the metrics accumulated since the epoch began. Raises OutputError."""
        self._write(step, {f"epoch so far/{name}": value for name, value in metrics.items()})

    def write_epoch(self, step: int, result: EpochMetrics) -> None:
        """Write the result of an epoch that ended after `step` steps. Raises OutputError."""
        self._write(step, {f"epoch/{name}": value for name, value in result.to_columns().items()})
        if self._uploads:
            for path in self._folder.iterdir():
                self._run.write_unrecorded(f"{TENSORBOARD}/{path.name}", path.read_bytes())

    def _write(self, step: int, metrics: dict[str, float]) -> None:
        try:
            with self._writer.as_default():
                for name, value in metrics.items():
                    tf.summary.scalar(name, value, step=step)
            self._writer.flush()
        except tf.errors.OpError as error:
            raise OutputError(
                "the logs of TensorBoard cannot be written",
                path=str(self._folder),
                got=error.message.partition("\n")[0].rpartition("; ")[2],
                hint="fix this and resume with `shardmill train --resume`",
            ) from error
