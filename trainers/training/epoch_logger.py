"""What epochs leave in the run's folder: weights, the history, logs; and when they are enough.

TensorBoard's logs of a training, in `RUN/tensorboard`: a scalar of each figure an epoch.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import tensorflow as tf

from trainers.models.load import file_bytes
from trainers.runs.history import EpochMetrics, best_epoch, encode_history
from trainers.runs.run_dir import HISTORY, TENSORBOARD, WEIGHTS, Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainers.models.build import Network
    from trainers.runs.history import EpochMetrics
    from trainers.training.phases import Phase
    from trainers.training.plan import TrainingPlan
    from trainers.training.progress import Progress


_SAVE_SECONDS = 15.0


class EpochLogger:
    """Keeps and tells what each epoch has reached.

    Args:
        plan: the training.
        run: where it is kept.
        network: whose weights the run gets.
        epochs: those that ended before.
        progress: told of steps and epochs.
        logs: TensorBoard's, where they are wanted.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        run: Run,
        network: Network,
        epochs: Sequence[EpochMetrics],
        *,
        progress: Progress,
        logs: TensorBoardWriter | None = None,
    ) -> None:
        self.epochs = list(epochs)
        self._plan, self._run, self._network = plan, run, network
        self._progress, self._logs = progress, logs
        # The first epoch is kept, for there is nothing yet to predict with; but a head that trains
        # from features has ended before anybody could.
        is_quick = plan.reads_features(plan.phases[-1])
        self._saved_at = time.monotonic() if is_quick else -math.inf

    def log_step(self, step: int, into_epoch: int, figures: dict[str, float]) -> None:
        """Tell the figures of the epoch so far, `into_epoch` steps after its beginning."""
        self._progress.end_step(into_epoch, figures)
        if self._logs is not None:
            self._logs.write_step(step, figures)

    def record(self, result: EpochMetrics, phase: Phase, step: int) -> None:
        """Keep the result of an epoch of a phase, at whose end `step` steps are done.

        Raises:
            OutputError: the run cannot be written.
        """
        self.epochs.append(result)
        if self._is_worth_saving(phase, step):
            model = self._network.model
            with self._run.replacing(WEIGHTS, size_bytes=file_bytes(model.variables)) as path:
                model.save_weights(path)
            self._saved_at = time.monotonic()
        self._run.write(HISTORY, encode_history(self.epochs))
        if self._logs is not None:
            self._logs.write_epoch(step, result)
        self._progress.end_epoch(result)

    def kept_epoch(self) -> EpochMetrics:
        """The epoch whose weights are the run's at the end."""
        own = self._epochs_of(self._plan.phases[-1])
        return own[-1] if self._patience is None else best_epoch(own)

    def should_stop(self, phase: Phase) -> bool:
        """Whether the last phase has gone on for too long without a lower validation loss."""
        own = self._epochs_of(phase)
        if self._patience is None or phase is not self._plan.phases[-1] or not own:
            return False
        return own[-1].epoch - best_epoch(own).epoch >= self._patience

    @property
    def _patience(self) -> int | None:
        return self._plan.config.options.early_stopping

    def _is_worth_saving(self, phase: Phase, step: int) -> bool:
        """Where a training may end early, the best epoch; else the last, and now and then others.

        Epochs of a second would mostly write.
        """
        if self._patience is not None:
            return best_epoch(self._epochs_of(phase)) is self.epochs[-1]
        return step == phase.end_step or time.monotonic() >= self._saved_at + _SAVE_SECONDS

    def _epochs_of(self, phase: Phase) -> list[EpochMetrics]:
        return self.epochs[phase.first_step // self._plan.epoch_steps :]


class TensorBoardWriter:
    """Writes figures as they come; a resumed training goes on in a file of its own.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(run / TENSORBOARD))

    def write_step(self, step: int, figures: dict[str, float]) -> None:
        """Accuracy and loss of the epoch so far."""
        self._write(step, {f"epoch so far/{name}": value for name, value in figures.items()})

    def write_epoch(self, step: int, result: EpochMetrics) -> None:
        """What an epoch has reached, by the number of steps done."""
        figures = result._asdict()
        self._write(step, {f"epoch/{name}": value for name, value in figures.items()})

    def _write(self, step: int, figures: dict[str, float]) -> None:
        with self._writer.as_default():
            for name, value in figures.items():
                tf.summary.scalar(name, value, step=step)
        self._writer.flush()
