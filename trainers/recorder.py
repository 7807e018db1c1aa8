"""What epochs leave in the run's folder: weights, the history, logs; and when they are enough."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from trainers.history import EpochResult, best_epoch, encode_history
from trainers.run_folder import HISTORY, WEIGHTS, Run
from trainers.weights import file_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.models.network import Network
    from trainers.phases import Phase
    from trainers.plan import TrainingPlan
    from trainers.progress import Progress
    from trainers.tensorboard import Logs

_SAVE_SECONDS = 15.0


class Recorder:
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
        epochs: Sequence[EpochResult],
        *,
        progress: Progress,
        logs: Logs | None = None,
    ) -> None:
        self.epochs = list(epochs)
        self._plan, self._run, self._network = plan, run, network
        self._progress, self._logs = progress, logs
        # The first epoch is kept, for there is nothing yet to predict with; but a head that trains
        # from features has ended before anybody could.
        is_quick = plan.reads_features(plan.phases[-1])
        self._saved_at = time.monotonic() if is_quick else -math.inf

    def tell_step(self, step: int, into_epoch: int, figures: dict[str, float]) -> None:
        """Tell the figures of the epoch so far, `into_epoch` steps after its beginning."""
        self._progress.end_step(into_epoch, figures)
        if self._logs is not None:
            self._logs.write_step(step, figures)

    def record(self, result: EpochResult, phase: Phase, step: int) -> None:
        """Keep the result of an epoch of a phase, at whose end `step` steps are done.

        Raises:
            TargetError: the run cannot be written.
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

    def kept_epoch(self) -> EpochResult:
        """The epoch whose weights are the run's at the end."""
        own = self._epochs_of(self._plan.phases[-1])
        return own[-1] if self._patience is None else best_epoch(own)

    def has_lost_patience(self, phase: Phase) -> bool:
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

    def _epochs_of(self, phase: Phase) -> list[EpochResult]:
        return self.epochs[phase.first_step // self._plan.epoch_steps :]
