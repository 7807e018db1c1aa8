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

from trainers.averaged_weights import AveragedWeights
from trainers.balance import read_labels
from trainers.input.bad_records import TF_READ_ERRORS, SkippedRecords
from trainers.input.pipeline import ShardSource
from trainers.input.shuffle import ShuffleSpec
from trainers.models.registry import find_model
from trainers.runs.history import EpochMetrics
from trainers.tasks import Findings
from trainers.time_limit import EndsEarlier, TimeLimit
from trainers.training.checkpoints import Arrays, TrainingState, save_checkpoint
from trainers.training.compile import shorten_schedule
from trainers.training.metric_state import (
    read_metrics,
    read_variables,
    restore_variables,
    sync_jax_state,
    to_numpy,
)
from trainers.training.phase_setup import shard_source
from trainers.training.planning.phases import split_steps
from trainers.training.signals import StopRequest, defer_signals
from trainers.training.validation import Validation, diverged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from trainers.input.selection import Selection
    from trainers.runs.run_dir import Run
    from trainers.training.epoch_logger import EpochLogger
    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.planning import TrainingPlan
    from trainers.training.planning.phases import Phase, StepRange

_METRIC_SECONDS = 0.5


class TrainingLoop:
    """Runs the steps of a run, and keeps the state of the run between two steps.

    Args:
        plan: the plan of the run.
        run: the run folder, for checkpoints and results.
        epoch_logger: the object that saves and reports the results of epochs.
        state: the state in the last checkpoint, or the state of a new run.
        batch_divisor: the number that must divide the size of every batch.
        on_message: called with each line that the user should read.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        run: Run,
        epoch_logger: EpochLogger,
        state: TrainingState,
        *,
        batch_divisor: int,
        on_message: Callable[[str], None],
    ) -> None:
        self.plan, self.run, self.epoch_logger = plan, run, epoch_logger
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
        self._on_message = on_message
        self._stop = StopRequest()
        self._stopped_by_callback = False
        now = time.monotonic()
        self._started_at = now - state.seconds
        self._epoch_seconds = state.epoch_seconds
        self._checkpoint_at, self._checkpoint_step = now, state.step
        self._metrics_read_at = -math.inf
        self._pending_metrics = state.pending_metrics
        self._batch_divisor = batch_divisor
        steps = plan.epoch_steps, plan.validation_steps, plan.final_steps
        self._time_limit = TimeLimit(plan.config.time_limit_seconds, *steps)
        self._validation = Validation(plan.config.options.batch_size, batch_divisor)
        custom = find_model(plan.config.options.model).custom
        self._custom_callbacks = [make() for make in custom.callbacks] if custom else []
        self._class_weights = plan.fit_class_weights

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

    def restore(self, arrays: Arrays) -> None:
        """Continue with the arrays of a checkpoint."""
        self.metric_variables = arrays.metrics
        self.epoch_logger.restore_best(arrays.best)

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
            The setup, changed if damaged records were found, or if the phase had to end earlier.

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
                except EndsEarlier as earlier:
                    setup = self._shorten(setup, earlier)
                except TF_READ_ERRORS as error:
                    setup = self.exclude_bad_records(setup, error)
        if setup.phase is not self.plan.phases[-1]:
            self._stop.raise_if_requested()  # a signal in the last validation
        return setup

    def _run_epochs(self, setup: PhaseSetup) -> None:
        if self.validation_pending:
            self.end_epoch(setup, self.step)
        for step_range in split_steps(self.step, setup.phase.end_step, self.plan.epoch_steps):
            if not self.is_over(setup.phase):
                self.run_steps(setup, step_range)

    def _shorten(self, setup: PhaseSetup, earlier: EndsEarlier) -> PhaseSetup:
        """Let the last phase end earlier; return a setup whose schedule ends there."""
        self._read_metrics(setup)  # also updates the variables on JAX
        self.metric_variables = self._metric_variables_of_epoch(setup)
        self.plan = self.epoch_logger.plan = self.plan.shortened((self.step, earlier.end_step))
        self._time_limit.restart()
        phase = self.plan.phases[-1]
        shorten_schedule(setup.model, self.plan.config.options, phase)
        self._on_message(earlier.describe(setup.phase))
        return replace(setup, phase=phase)

    def exclude_bad_records(self, setup: PhaseSetup, error: Exception) -> PhaseSetup:
        """Exclude damaged records, unless more than allowed; return a setup that skips them."""
        self.damaged.add_damaged(error)
        self.metric_variables = self._metric_variables_of_epoch(setup)
        source = shard_source(self.plan, self.damaged.shards).with_target(self.plan.target_column)
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
            labels=read_labels(self.plan.dataset, self.training) if options.balanced else None,
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
            for name in setup.compiled_metrics.hidden:
                logs.pop(name, None)
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
        if setup.phase is self.plan.phases[-1]:
            self._time_limit.check(setup.phase, step, self.seconds)
        epoch_step = step % self.plan.epoch_steps
        if epoch_step and time.monotonic() - self._metrics_read_at >= _METRIC_SECONDS:
            self.epoch_logger.log_step(step, epoch_step, self._read_metrics(setup))

    def end_epoch(self, setup: PhaseSetup, step: int) -> None:
        """Validate the model, and log the result of the epoch."""
        self.step = step
        # Validation resets the metrics of the model. An interrupted validation is repeated.
        self._pending_metrics = self._pending_metrics or self._read_metrics(setup)
        with AveragedWeights(setup.model) as weights:
            result = self._validate(setup, self._pending_metrics, weights)
            self._pending_metrics = None
            metric = setup.compiled_metrics.validation
            findings = Findings() if metric is None else metric.findings()
            setup.model.reset_metrics()
            self._epoch_started_at = time.monotonic()
            self.epoch_logger.log_epoch(result, setup.phase, step, findings)
        for line in self.epoch_logger.advise(setup.phase):
            self._on_message(line)

    def _validate(
        self, setup: PhaseSetup, metrics: dict[str, float], weights: AveragedWeights
    ) -> EpochMetrics:
        def begin_step() -> None:
            if self._stop.is_requested:
                weights.restore()  # a checkpoint has the weights of the last step
            self._stop_if_requested(setup)

        started_at = time.monotonic()
        validation = self._validation.measure(setup, self.validation, begin_step)
        self._check_loss(setup, validation["loss"])
        self._time_limit.end_epoch(time.monotonic() - started_at)
        return EpochMetrics.combine(
            metrics,
            validation,
            epoch=len(self.epoch_logger.epochs) + 1,
            learning_rate=float(to_numpy(setup.model.optimizer.learning_rate)),
            seconds=time.monotonic() - self._epoch_started_at,
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
            best=self.epoch_logger.best,
            damaged=tuple(sorted(self.damaged.records)),
            shortened=self.plan.ends,
        )
        keep = self.plan.config.options.keep_checkpoints
        arrays = Arrays(self._metric_variables_of_epoch(setup), self.epoch_logger.best_weights)
        save_checkpoint(self.run, setup.model, state, arrays, keep=keep)
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
            epoch = len(self.epoch_logger.epochs) + 1
            raise diverged(loss, epoch, setup.phase.learning_rate)
