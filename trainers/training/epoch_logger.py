"""Results of each epoch: weights, history, loggers."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainers.advice import advise_on_epoch
from trainers.models.registry import find_model
from trainers.models.weights_file import encode_weights
from trainers.runs.history import EpochMetrics, encode_history
from trainers.runs.run_dir import HISTORY, Run
from trainers.runs.thresholds import (
    ThresholdsOfWeights,
    encode_thresholds,
    replaced_thresholds,
)
from trainers.tasks import task_of
from trainers.training.checkpoints import BestEpoch
from trainers.training.early_stopping import EarlyStopping, best_epoch, chooses_epoch
from trainers.training.metric_state import to_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainers.loggers import RunLoggers
    from trainers.models.build import Network
    from trainers.options import KeptWeights
    from trainers.tasks import Findings
    from trainers.training.checkpoints import TrainingState
    from trainers.training.planning import TrainingPlan
    from trainers.training.planning.phases import Phase
    from trainers.training.progress import Progress

_SAVE_SECONDS = 15.0


class _Snapshot(NamedTuple):
    """The weights of the network after an epoch, in memory."""

    after: BestEpoch
    weights: Sequence[NDArray[Any]]


class EpochLogger:
    """Saves and reports the result of each epoch.

    The weights of the best and of the last epoch are kept in memory, and written to the run at the
    end of a phase, and at most every `_SAVE_SECONDS` before. Otherwise, a run with epochs of one
    second would mostly write weights.

    Args:
        plan: the plan of the run.
        run: the run folder, for weights, history and logs.
        network: the network whose weights are saved.
        state: the state of the run, with the results of the epochs so far.
        progress: the object that is notified of each step and epoch.
        loggers: the loggers of the run.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        run: Run,
        network: Network,
        state: TrainingState,
        *,
        progress: Progress,
        loggers: RunLoggers,
    ) -> None:
        options = plan.config.options
        self.epochs = list(state.epochs)
        self.plan, self._run, self._network = plan, run, network
        self._progress, self._loggers = progress, loggers
        self._early_stopping = EarlyStopping(options.early_stopping)
        self._best = None if state.best is None else _Snapshot(state.best, ())
        self._last: _Snapshot | None = None
        self._written: dict[KeptWeights, _Snapshot] = {}
        self._thresholds: dict[KeptWeights, ThresholdsOfWeights] = {}
        # The first epoch saves its weights without waiting, so that a long run can predict early.
        # If a head trains from features, epochs are short, so its first save waits as well.
        is_fast = plan.reads_features(plan.phases[-1])
        self._saved_at = time.monotonic() if is_fast else -math.inf

    @property
    def best(self) -> BestEpoch | None:
        """Return the epoch whose weights are kept so far; None before the end of an epoch."""
        return None if self._best is None else self._best.after

    @property
    def best_weights(self) -> Sequence[NDArray[Any]]:
        """Return the weights of the network after this epoch, for a checkpoint."""
        return () if self._best is None else self._best.weights

    def restore_best(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights of the network after the best epoch, from a checkpoint."""
        if self._best is not None:
            self._best = self._best._replace(weights=weights)

    def log_step(self, step: int, epoch_step: int, metrics: dict[str, float]) -> None:
        """Report the metrics of the current epoch after its first `epoch_step` steps."""
        self._progress.end_step(epoch_step, metrics)
        self._loggers.write_step(step, metrics)

    def log_epoch(self, result: EpochMetrics, phase: Phase, step: int, findings: Findings) -> None:
        """Save the result of an epoch.

        Args:
            result: the metrics of the epoch.
            phase: the phase of the epoch.
            step: the number of steps of the run after which the epoch ended.
            findings: what the validation after the epoch has found.

        Raises:
            OutputError: the run cannot be written.
        """
        self.epochs.append(result)
        weights = [np.array(to_numpy(weight)) for weight in self._network.model.weights]
        self._last = _Snapshot(BestEpoch(result.epoch, findings), weights)
        is_chosen = chooses_epoch(self.plan.config.options)
        if self._best is None or not is_chosen or best_epoch(self.epochs_of(phase)) is result:
            self._best = self._last
        is_due = time.monotonic() >= self._saved_at + _SAVE_SECONDS
        if is_due or step == phase.end_step or self.should_stop(phase):
            self.save_weights()
        self._run.write_unrecorded(HISTORY, encode_history(self.epochs))
        self._loggers.write_epoch(step, result)
        self._progress.end_epoch(result)

    def save_weights(self) -> None:
        """Write the weights of the last and of the best epoch, unless they are written.

        A run that has weights has their thresholds too, also if the process is killed in between.

        Raises:
            OutputError: the run cannot be written.
        """
        kept: dict[KeptWeights, _Snapshot | None] = {"last": self._last, "best": self._best}
        contents: dict[int, bytes] = {}
        files: dict[str, bytes] = {}
        for name, snapshot in kept.items():
            if snapshot is None or snapshot is self._written.get(name):
                continue
            run, epoch = replace(self._run, weights=name), snapshot.after.epoch
            if epoch not in contents:
                contents[epoch] = self._encode(snapshot)
            findings = snapshot.after.findings
            if findings.has_thresholds:
                current = ThresholdsOfWeights.of(findings, contents[epoch])
                replaced = self._thresholds.get(name) or replaced_thresholds(run)
                files[run.thresholds_file] = encode_thresholds(current, replaced)
                self._thresholds[name] = current
            files[run.weights_file] = contents[epoch]
            self._written[name] = snapshot
        if files:
            self._run.write_all(files)
        self._saved_at = time.monotonic()

    def _encode(self, snapshot: _Snapshot) -> bytes:
        """Return the weights file of a snapshot; the network keeps its own weights."""
        model = self._network.model
        current = [np.array(to_numpy(weight)) for weight in model.weights]
        model.set_weights(snapshot.weights)
        try:
            return encode_weights(model)
        finally:
            model.set_weights(current)

    def saved_epoch(self) -> EpochMetrics:
        """Return the epoch whose weights are kept at the end of the run."""
        return self.epochs[-1 if self._best is None else self._best.after.epoch - 1]

    def should_stop(self, phase: Phase) -> bool:
        """Return whether early stopping ends a phase; only the last phase can end early."""
        is_last = phase is self.plan.phases[-1]
        return is_last and self._early_stopping.should_stop(self.epochs_of(phase))

    def advise(self, phase: Phase) -> Iterator[str]:
        """Yield a line for each problem that the last epoch shows first."""
        options, architecture = self.plan.config.options, self.plan.config.architecture
        custom = find_model(options.model).custom
        has_other_loss = options.l2 > 0 or (custom is not None and custom.loss is not None)
        guessing = task_of(self.plan.config).loss_of_guessing(architecture.classes)
        yield from advise_on_epoch(
            self.epochs_of(phase),
            options,
            learning_rate=phase.learning_rate,
            loss_of_guessing=None if has_other_loss else guessing,
        )

    def describe_early_stop(self) -> str:
        """Return the line for the user about a run that early stopping has ended."""
        return (
            f"early stopping after epoch {self.epochs[-1].epoch}: the validation loss was lowest "
            f"in epoch {self.saved_epoch().epoch}, whose weights are kept"
        )

    def epochs_of(self, phase: Phase) -> list[EpochMetrics]:
        """Return the results of the epochs of a phase so far."""
        return self.epochs[phase.first_step // self.plan.epoch_steps :]
