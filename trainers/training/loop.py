"""A training as it goes: which step it is at, what it has reached, what it leaves behind.

Keras runs the steps and calls in between; everything that a killed training needs to go on is kept
here, and written to a checkpoint when one is due.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import keras

from records.errors import UsageError
from trainers.input.shuffle import ShuffleSpec
from trainers.runs.history import EpochMetrics
from trainers.training.checkpoints import TrainingState, save_checkpoint
from trainers.training.metric_state import (
    metric_totals,
    read_metrics,
    restore_totals,
    sync_jax_state,
    to_numpy,
)
from trainers.training.signals import StopRequest
from trainers.training.validation import Validation

if TYPE_CHECKING:
    from trainers.input.bad_records import DamagedRecord
    from trainers.input.selection import Selection
    from trainers.runs.run_dir import Run
    from trainers.training.epoch_logger import EpochLogger
    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.phases import Phase, StepRange
    from trainers.training.plan import TrainingPlan

_LOOK_SECONDS = 0.5


class TrainingLoop:
    """The state of a training between two steps.

    Args:
        plan: what is done.
        run: where it is kept.
        recorder: of epochs.
        state: where to begin.
        batch_divisor: what the number of images of every batch must be a multiple of.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        run: Run,
        recorder: EpochLogger,
        state: TrainingState,
        *,
        batch_divisor: int,
    ) -> None:
        self.plan, self.run, self.recorder = plan, run, recorder
        self.step, self.metric_sums = state.step, state.metric_sums
        self.damaged = set(state.damaged)
        self.stop = StopRequest()
        now = time.monotonic()
        self._began = now - state.seconds
        self._epoch_seconds = state.epoch_seconds
        self._kept_at, self._kept_step = now, state.step
        self._looked_at = -math.inf
        self._figures_due = state.figures_due
        self._batch_divisor = batch_divisor
        self._validation = Validation(plan.config.options.batch_size, batch_divisor)

    @property
    def seconds(self) -> float:
        """How long the training has taken, with what earlier processes did of it."""
        return time.monotonic() - self._began

    @property
    def training(self) -> Selection:
        """What is trained on, without what is damaged."""
        return self.plan.training.excluding(self.damaged)

    @property
    def validation(self) -> Selection:
        """What is measured on, without what is damaged."""
        return self.plan.validation.excluding(self.damaged)

    def begin_phase(self) -> None:
        """Count the time of its first epoch from now on; what it is fed is another."""
        self._epoch_began = time.monotonic() - self._epoch_seconds
        self._epoch_seconds = 0.0

    def leave_out(self, found: list[DamagedRecord]) -> None:
        """Go on without some records."""
        self.damaged.update((record.shard, record.number) for record in found)

    def run_stretch(
        self, stage: PhaseSetup, stretch: StepRange, class_weights: dict[int, float]
    ) -> None:
        """Let Keras run the steps of a stretch, with what is due before each and after an epoch."""
        options = self.plan.config.options
        order = ShuffleSpec(
            options.seed,
            end_epoch=stretch.epoch + stretch.epochs,
            first_epoch=stretch.epoch,
            first_step=stretch.first_step - stretch.epoch * self.plan.epoch_steps,
            epoch_records=self._epoch_records(),
        )
        stage.model.fit(
            stage.read_training(self.training, options.batch_size, order),
            initial_epoch=stretch.epoch,
            epochs=stretch.epoch + stretch.epochs,
            steps_per_epoch=stretch.epoch_steps,
            shuffle=False,  # the input is
            class_weight=class_weights or None,
            verbose=0,
            callbacks=[self._calls(stage, stretch)],
        )

    def _epoch_records(self) -> int | None:
        """How many records an epoch gives, where that is not how many there are."""
        records, divisor = self.plan.training.records, self._batch_divisor
        return records + -records % divisor if self.damaged or divisor > 1 else None

    def _calls(self, stage: PhaseSetup, stretch: StepRange) -> keras.callbacks.Callback:
        def begin_epoch(epoch: int, _logs: Any) -> None:
            self._first_step = stretch.first_step_of(epoch)
            restore_totals(stage, self.metric_sums)
            self.metric_sums = ()

        def begin_step(batch: int, **_logs: Any) -> None:
            self.begin_step(stage, self._first_step + batch)

        def end_epoch(epoch: int, _logs: Any) -> None:
            self.end_epoch(stage, stretch.first_step_of(epoch) + stretch.epoch_steps)
            stage.model.stop_training = self.is_over(stage.phase)

        return keras.callbacks.LambdaCallback(
            on_epoch_begin=begin_epoch,
            on_train_batch_begin=begin_step,  # after a step Keras would wait for the device
            on_epoch_end=end_epoch,
        )

    def begin_step(self, stage: PhaseSetup, step: int) -> None:
        """Before a step: what is due by number or by time."""
        self.step = step
        self._stop_if_asked(stage)
        if self._is_checkpoint_due():
            self.save_checkpoint_now(stage)
        into_epoch = step % self.plan.epoch_steps
        if into_epoch and time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self.recorder.log_step(step, into_epoch, self._look(stage))

    def end_epoch(self, stage: PhaseSetup, step: int) -> None:
        """Measure on the validation images, and keep what the epoch has reached."""
        self.step = step
        # Measuring starts Keras's sums anew; where it is stopped or fails, it is done again.
        self._figures_due = self._figures_due or self._look(stage)
        result = self._measure(stage, self._figures_due)
        self._figures_due = None
        stage.model.reset_metrics()
        self._epoch_began = time.monotonic()
        self.recorder.record(result, stage.phase, step)

    def _stop_if_asked(self, stage: PhaseSetup) -> None:
        if self.stop.is_made:
            self.save_checkpoint_now(stage)
            self.stop.obey()

    @property
    def validation_pending(self) -> bool:
        """Whether an epoch's steps are done and its validation is not."""
        return self._figures_due is not None

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases not done yet; a phase ends with the validation of its last epoch."""
        return self.plan.phases_from(self.step - self.validation_pending)

    def is_over(self, phase: Phase) -> bool:
        """Whether a phase has no steps left, or its epochs no longer get better."""
        return self.step >= phase.end_step or self.recorder.should_stop(phase)

    def save_checkpoint_now(self, stage: PhaseSetup) -> None:
        """Write a checkpoint of this moment. Raises UsageError where the loss is no number."""
        if self.validation_pending:
            sync_jax_state(stage.model)
        else:
            self._look(stage)
        state = TrainingState(
            seed=self.plan.config.options.seed,
            step=self.step,
            metric_sums=self.sum_metrics(stage),
            epoch_seconds=time.monotonic() - self._epoch_began,
            seconds=self.seconds,
            epochs=tuple(self.recorder.epochs),
            figures_due=self._figures_due,
            damaged=tuple(sorted(self.damaged)),
        )
        keep = self.plan.config.options.keep_checkpoints
        save_checkpoint(self.run, stage.model, state, keep=keep)
        self._kept_at, self._kept_step = time.monotonic(), self.step

    def sum_metrics(self, stage: PhaseSetup) -> tuple[float, ...]:
        """What Keras has added up since the epoch began."""
        return (
            () if self.validation_pending else metric_totals(stage)
        )  # then they are the validation's

    def _is_checkpoint_due(self) -> bool:
        options = self.plan.config.options
        if self.step == self._kept_step:
            return False
        if options.checkpoint_steps and self.step % options.checkpoint_steps == 0:
            return True
        return time.monotonic() - self._kept_at >= 60 * options.checkpoint_minutes

    def _look(self, stage: PhaseSetup) -> dict[str, float]:
        """Accuracy and loss of the epoch so far; it ends here where that is no number."""
        self._looked_at = time.monotonic()
        figures = read_metrics(stage)
        self._check_loss(stage, figures["loss"])
        return figures

    def _check_loss(self, stage: PhaseSetup, loss: float) -> None:
        if not math.isfinite(loss):
            rate = self._learning_rate(stage)
            raise UsageError(
                f"the loss is no number any more in epoch {len(self.recorder.epochs) + 1}",
                got=loss,
                hint=f"try a --learning-rate below {rate:g}",
            )

    def _measure(self, stage: PhaseSetup, figures: dict[str, float]) -> EpochMetrics:
        validation = self._validation.measure(
            stage, self.validation, lambda: self._stop_if_asked(stage)
        )
        self._check_loss(stage, validation["loss"])
        return EpochMetrics(
            epoch=len(self.recorder.epochs) + 1,
            accuracy=figures["accuracy"],
            loss=figures["loss"],
            val_accuracy=validation["accuracy"],
            val_loss=validation["loss"],
            learning_rate=self._learning_rate(stage),
            seconds=time.monotonic() - self._epoch_began,
        )

    def _learning_rate(self, stage: PhaseSetup) -> float:
        return float(to_numpy(stage.model.optimizer.learning_rate))
