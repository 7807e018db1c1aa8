"""The steps of a run, with checkpoints and validation.

`TrainingLoop` keeps the state of the run, and writes the state to checkpoints. A later process
resumes from the newest checkpoint.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras

from records.errors import UsageError
from trainers.input.bad_records import TF_READ_ERRORS, SkippedRecords
from trainers.input.pipeline import ShardSource
from trainers.input.shuffle import ShuffleSpec
from trainers.models.registry import find_model
from trainers.runs.history import EpochMetrics
from trainers.tasks import balance_classes, task_of
from trainers.training.checkpoints import TrainingState, save_checkpoint
from trainers.training.epoch_logger import EpochLogger
from trainers.training.metric_state import (
    read_metrics,
    read_variables,
    restore_variables,
    sync_jax_state,
    to_numpy,
)
from trainers.training.phases import split_steps
from trainers.training.signals import StopRequest, defer_signals
from trainers.training.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from trainers.input.selection import Selection
    from trainers.models.build import Network
    from trainers.runs.run_dir import Run
    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.phases import Phase, StepRange
    from trainers.training.plan import TrainingPlan
    from trainers.training.progress import Progress

_METRIC_SECONDS = 0.5


class TrainingLoop:
    """Runs the steps of a run, and keeps the state of the run between two steps.

    Args:
        plan: the plan of the run.
        run: the run folder, for checkpoints and results.
        network: the network to train.
        state: the state in the last checkpoint, or the state of a new run.
        batch_divisor: the number that must divide the size of every batch.
        on_message: called with each line that the user should read.
        progress: the object that is notified of each step and epoch.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        run: Run,
        network: Network,
        state: TrainingState,
        *,
        batch_divisor: int,
        on_message: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self.plan, self.run = plan, run
        self.epoch_logger = EpochLogger(plan, run, network, state.epochs, progress=progress)
        self.step = state.step
        # Of the current epoch, until `fit` has reset the metrics and they can be restored.
        self.metric_variables: Sequence[NDArray[Any]] = ()
        self.damaged = SkippedRecords(
            plan.dataset,
            (plan.training, plan.validation),
            plan.config.options.skip_bad,
            on_message=on_message,
            skipped=state.damaged,
        )
        self._stop = StopRequest()
        self._stopped_by_callback = False
        now = time.monotonic()
        self._started_at = now - state.seconds
        self._epoch_seconds = state.epoch_seconds
        self._checkpoint_at, self._checkpoint_step = now, state.step
        self._metrics_read_at = -math.inf
        self._pending_metrics = state.pending_metrics
        self._batch_divisor = batch_divisor
        self._validation = Validation(plan.config.options.batch_size, batch_divisor)
        custom = find_model(plan.config.options.model).custom
        self._custom_callbacks = [make() for make in custom.callbacks] if custom else []
        counts = plan.class_counts
        in_loss = task_of(plan.config).balances_in_loss
        self._class_weights = (
            None if counts is None or in_loss else balance_classes(counts.of_class)
        )

    @property
    def seconds(self) -> float:
        """Return the time spent on the run in seconds, including earlier processes."""
        return time.monotonic() - self._started_at

    @property
    def training(self) -> Selection:
        """Return the records to train on, without damaged records."""
        return self.plan.training.excluding(self.damaged.records)

    @property
    def validation(self) -> Selection:
        """Return the records to validate on, without damaged records."""
        return self.plan.validation.excluding(self.damaged.records)

    @property
    def validation_pending(self) -> bool:
        """Return whether the steps of an epoch are finished, but not its validation."""
        return self._pending_metrics is not None

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Return the remaining phases; a phase ends with the validation of its last epoch."""
        return self.plan.phases_from(self.step - self.validation_pending)

    def is_over(self, phase: Phase) -> bool:
        """Return whether a phase has no remaining steps, or ends early."""
        return (
            self.step >= phase.end_step
            or self._stopped_by_callback
            or self.epoch_logger.should_stop(phase)
        )

    def run_phase(self, setup: PhaseSetup) -> PhaseSetup:
        """Run the remaining steps of a phase.

        Returns:
            The setup; its source is replaced if damaged records were found.

        Raises:
            CorruptDataError: more records are damaged than `skip_bad` allows.
            KeyboardInterrupt: a signal was received. A checkpoint is written before this is raised.
        """
        self._epoch_started_at = time.monotonic() - self._epoch_seconds
        self._epoch_seconds = 0.0
        self._stopped_by_callback = False
        self.damaged.records |= setup.skipped
        with defer_signals() as self._stop:
            while self.validation_pending or not self.is_over(setup.phase):
                try:
                    self._run_epochs(setup)
                except TF_READ_ERRORS as error:
                    setup = self._exclude_bad_records(setup, error)
        if setup.phase is not self.plan.phases[-1]:
            self._stop.raise_if_requested()  # a signal in the last validation
        return setup

    def _run_epochs(self, setup: PhaseSetup) -> None:
        if self.validation_pending:
            self.end_epoch(setup, self.step)
        for step_range in split_steps(self.step, setup.phase.end_step, self.plan.epoch_steps):
            if not self.is_over(setup.phase):
                self.run_steps(setup, step_range)

    def _exclude_bad_records(self, setup: PhaseSetup, error: Exception) -> PhaseSetup:
        """Exclude damaged records, unless more than allowed; return a setup that skips them."""
        self.damaged.add_damaged(error)
        self.metric_variables = self._metric_variables_of_epoch(setup)
        source = ShardSource.from_dataset(
            self.plan.dataset,
            self.plan.config.shape,
            self.damaged.shards,
            decoder=self.plan.config.decoder,
        ).with_target(self.plan.target_column)
        if isinstance(setup.source, ShardSource):
            source = replace(source, cache=setup.source.cache)
        return replace(setup, source=source)

    def run_steps(self, setup: PhaseSetup, step_range: StepRange) -> None:
        """Run a range of steps with Keras fit, including checkpoints and validation."""
        options = self.plan.config.options
        order = ShuffleSpec(
            options.seed,
            end_epoch=step_range.epoch + step_range.epochs,
            first_epoch=step_range.epoch,
            first_step=step_range.first_step - step_range.epoch * self.plan.epoch_steps,
            epoch_records=self._epoch_records(),
        )
        setup.model.fit(
            setup.read_training(self.training, options.batch_size, order),
            initial_epoch=step_range.epoch,
            epochs=step_range.epoch + step_range.epochs,
            steps_per_epoch=step_range.epoch_steps,
            shuffle=False,  # the input is shuffled
            class_weight=self._class_weights,
            verbose=0,
            callbacks=[self._callback(setup, step_range), *self._custom_callbacks],
        )
        self._stopped_by_callback = setup.model.stop_training and not self.is_over(setup.phase)

    def _epoch_records(self) -> int | None:
        """Return the records per epoch; None if an epoch reads each selected record once."""
        records, divisor = self.plan.training.records, self._batch_divisor
        return records + -records % divisor if self.damaged.records or divisor > 1 else None

    def _callback(self, setup: PhaseSetup, step_range: StepRange) -> keras.callbacks.Callback:
        def begin_epoch(epoch: int, _logs: Any) -> None:
            self._first_step = step_range.first_step_of(epoch)
            restore_variables(setup, self.metric_variables)
            self.metric_variables = ()

        def begin_step(batch: int, **_logs: Any) -> None:
            self.begin_step(setup, self._first_step + batch)

        def end_epoch(_epoch: int, logs: Any) -> None:
            self.end_epoch(setup, self.step + 1)
            # For the callbacks of a registered model, which Keras calls after this callback.
            result = self.epoch_logger.epochs[-1].to_columns()
            logs.update({name: result[name] for name in result if name.startswith("val_")})
            if self.is_over(setup.phase):
                setup.model.stop_training = True

        return keras.callbacks.LambdaCallback(
            on_epoch_begin=begin_epoch,
            on_train_batch_begin=begin_step,  # a callback after a step would wait for the device
            on_epoch_end=end_epoch,
        )

    def begin_step(self, setup: PhaseSetup, step: int) -> None:
        """Write a checkpoint before a step if one is due, and report metrics if they are due."""
        self.step = step
        self._stop_if_requested(setup)
        if self._is_checkpoint_due():
            self.write_checkpoint(setup)
        epoch_step = step % self.plan.epoch_steps
        if epoch_step and time.monotonic() - self._metrics_read_at >= _METRIC_SECONDS:
            self.epoch_logger.log_step(step, epoch_step, self._read_metrics(setup))

    def end_epoch(self, setup: PhaseSetup, step: int) -> None:
        """Validate the model, and log the result of the epoch."""
        self.step = step
        # Validation resets the metrics of the model. An interrupted validation is repeated.
        self._pending_metrics = self._pending_metrics or self._read_metrics(setup)
        result = self._validate(setup, self._pending_metrics)
        self._pending_metrics = None
        metric = setup.compiled_metrics.validation
        thresholds = None if metric is None else metric.thresholds()
        setup.model.reset_metrics()
        self._epoch_started_at = time.monotonic()
        self.epoch_logger.log_epoch(result, setup.phase, step, thresholds)

    def _validate(self, setup: PhaseSetup, metrics: dict[str, float]) -> EpochMetrics:
        validation = self._validation.measure(
            setup, self.validation, lambda: self._stop_if_requested(setup)
        )
        self._check_loss(setup, validation["loss"])
        own = {"loss", "accuracy"}
        return EpochMetrics(
            epoch=len(self.epoch_logger.epochs) + 1,
            accuracy=metrics.get("accuracy"),
            loss=metrics["loss"],
            val_accuracy=validation.get("accuracy"),
            val_loss=validation["loss"],
            learning_rate=self._learning_rate(setup),
            seconds=time.monotonic() - self._epoch_started_at,
            extra={name: metrics[name] for name in metrics if name not in own}
            | {f"val_{name}": validation[name] for name in validation if name not in own},
        )

    def _stop_if_requested(self, setup: PhaseSetup) -> None:
        if self._stop.is_requested:
            self.write_checkpoint(setup)
            self._stop.raise_if_requested()

    def write_checkpoint(self, setup: PhaseSetup) -> None:
        """Write a checkpoint of the current state. Raises UsageError if the loss is not finite."""
        if self.validation_pending:
            sync_jax_state(setup.model)
        else:
            self._read_metrics(setup)
        state = TrainingState(
            seed=self.plan.config.options.seed,
            step=self.step,
            epoch_seconds=time.monotonic() - self._epoch_started_at,
            seconds=self.seconds,
            epochs=tuple(self.epoch_logger.epochs),
            pending_metrics=self._pending_metrics,
            damaged=tuple(sorted(self.damaged.records)),
        )
        keep = self.plan.config.options.keep_checkpoints
        metrics = self._metric_variables_of_epoch(setup)
        save_checkpoint(self.run, setup.model, state, metrics, keep=keep)
        self._checkpoint_at, self._checkpoint_step = time.monotonic(), self.step

    def _metric_variables_of_epoch(self, setup: PhaseSetup) -> Sequence[NDArray[Any]]:
        """Return the variables of the metrics; empty while a validation is pending."""
        return () if self.validation_pending else read_variables(setup)

    def _is_checkpoint_due(self) -> bool:
        options = self.plan.config.options
        if self.step == self._checkpoint_step:
            return False
        if options.checkpoint_steps and self.step % options.checkpoint_steps == 0:
            return True
        return time.monotonic() - self._checkpoint_at >= 60 * options.checkpoint_minutes

    def _read_metrics(self, setup: PhaseSetup) -> dict[str, float]:
        """Return the metrics since the epoch began. Raises UsageError if the loss is not finite."""
        self._metrics_read_at = time.monotonic()
        metrics = read_metrics(setup)
        self._check_loss(setup, metrics["loss"])
        return metrics

    def _check_loss(self, setup: PhaseSetup, loss: float) -> None:
        if not math.isfinite(loss):
            rate = self._learning_rate(setup)
            raise UsageError(
                f"training diverged: the loss became {loss} in epoch "
                f"{len(self.epoch_logger.epochs) + 1}",
                hint=f"try a --learning-rate below {rate:g}",
            )

    def _learning_rate(self, setup: PhaseSetup) -> float:
        return float(to_numpy(setup.model.optimizer.learning_rate))
