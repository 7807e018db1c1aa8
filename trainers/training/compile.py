"""Loss, metrics, optimizer, schedule, precision and batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np
from keras import ops

from records.errors import UsageError
from records.text.escaping import escape_for_display
from trainers.augment.mixing import MixingModel
from trainers.averaged_weights import averaging
from trainers.layer_rates import with_rate_factors
from trainers.models.registry import find_model
from trainers.training.metric_state import build_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trainers.backend import Backend
    from trainers.options import Precision, TrainOptions
    from trainers.tasks import Task
    from trainers.tasks.validation_metric import ValidationMetric
    from trainers.training.planning.phases import Phase

_AVERAGES = 8  # the initial values then count e^-8, 0.03 %
_LEAST_MOMENTUM = 0.5
_WARMUP_PARTS = 4  # one-cycle: the learning rate rises over a quarter of the steps


class CompiledMetrics(NamedTuple):
    """The metrics of a compiled model, besides the loss.

    Attributes:
        both: the metrics for training and validation: those of the task, then those of a
            registered model.
        validation: the metric that only validation updates, if the task has one.
    """

    both: tuple[keras.metrics.Metric, ...]
    validation: ValidationMetric | None = None

    @property
    def hidden(self) -> tuple[str, ...]:
        """Return the names of the metrics whose results are not reported."""
        metric = self.validation
        return () if metric is None or metric.is_reported else (metric.name,)


def set_precision(precision: Precision, hardware: Backend) -> str:
    """Set the Keras dtype policy of new layers, and return its name."""
    automatic = "mixed_bfloat16" if hardware.has_bfloat16 else "float32"
    policy = automatic if precision == "auto" else precision
    keras.config.set_dtype_policy(policy)
    return policy


def compile_model(
    model: keras.Model,
    options: TrainOptions,
    phase: Phase,
    task: Task,
    weights: NDArray[np.float64] | None = None,
    *,
    rate_factors: Mapping[int, float] | None = None,
) -> CompiledMetrics:
    """Compile a model for a task; return its metrics.

    Args:
        model: the model from images or features to logits (batch, classes), which may mix images.
        options: the options of the run.
        phase: the phase for which the model is compiled.
        task: the task of the run.
        weights: the class weights, see `trainers.tasks.class_weights`; None for equal weights.
        rate_factors: as for `build_optimizer`.

    Raises:
        UsageError: two metrics have the same name, or a metric does not fit the task.
    """
    custom = find_model(options.model).custom
    mixes = isinstance(model, MixingModel)
    metrics = (
        *task.metrics(soft=mixes),
        *((make() for make in custom.metrics) if custom else ()),
    )
    outputs = model.outputs[0].shape[-1]
    validation = task.validation_metric(outputs)
    names = [metric.name for metric in metrics]
    if alike := {name for name in names if names.count(name) > 1}:
        raise UsageError(
            "two metrics have the same name",
            got=escape_for_display(min(alike)),
            hint="give your metric a different name: keras.metrics.…(name=…)",
        )
    loss = custom.loss if custom and custom.loss is not None else None
    model.compile(
        optimizer=build_optimizer(options, phase, rate_factors),
        loss=task.loss(options.label_smoothing, weights, soft=mixes) if loss is None else loss,
        metrics=[*metrics, *((validation,) if validation is not None else ())],
        jit_compile="auto" if options.jit is None else options.jit,
    )
    if mixes and weights is not None and not task.balances_in_loss:
        model.class_weights = weights[1].astype(np.float32)
    logits = np.zeros((1, outputs), np.float32)
    build_metrics(model, task.no_labels(outputs), (logits, logits) if mixes else logits)
    model.optimizer.build(model.trainable_variables)  # otherwise TensorFlow traces the step twice
    return CompiledMetrics(metrics, validation)


def build_optimizer(
    options: TrainOptions, phase: Phase, rate_factors: Mapping[int, float] | None = None
) -> keras.optimizers.Optimizer:
    """Return the optimizer of a phase.

    Only its learning rate and the average of the weights differ from Keras defaults.

    Args:
        options: the options of the run.
        phase: the phase.
        rate_factors: factors of the learning rate, by the id of the weight; None means 1.
    """
    kind = type(keras.optimizers.get(options.optimizer))
    if rate_factors is not None:
        kind = with_rate_factors(kind, rate_factors)
    rate = _schedule(options, phase)
    if options.ema is None:
        return kind(learning_rate=rate)
    return averaging(kind)(learning_rate=rate, use_ema=True, ema_momentum=options.ema)


def shorten_schedule(model: keras.Model, options: TrainOptions, phase: Phase) -> None:
    """Replace the schedule of a compiled model by that of a shortened phase."""
    schedule = _schedule(options, phase)
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        model.optimizer.learning_rate = schedule
        model.train_function = None  # the compiled step has the old schedule


def _schedule(
    options: TrainOptions, phase: Phase
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate: a warm-up from 0, then a constant rate or a cosine decay to 0."""
    if options.schedule == "constant" and not options.warmup_steps:
        return phase.learning_rate
    steps = phase.schedule_steps
    is_one_cycle = options.schedule == "one-cycle" and not options.warmup_steps
    warmup_steps = steps // _WARMUP_PARTS if is_one_cycle else min(options.warmup_steps, steps - 1)
    planned = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup_steps else phase.learning_rate,
        decay_steps=max(steps - warmup_steps, 1),
        alpha=1.0 if options.schedule == "constant" else 0.0,
        warmup_target=phase.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    return ShortenedSchedule(planned, phase) if phase.knots else planned


def shorten_moving_averages(model: keras.Model, steps: int) -> None:
    """Let the statistics of batch normalization follow the weights, also in a short epoch.

    Validation uses moving averages of the mean and the variance of training batches. With the
    momentum 0.99 of Keras, they are mostly their initial values after an epoch of 40 steps, and the
    validation of the first epochs is meaningless. So the momentum is at most the one with which
    `steps` contain `_AVERAGES` times the length of the average.

    Args:
        model: the model to train; a model in it, such as a backbone, is changed too.
        steps: the number of steps between two validations.
    """
    momentum = max(1 - _AVERAGES / steps, _LEAST_MOMENTUM)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            shorten_moving_averages(layer, steps)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, momentum)


class ShortenedSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A schedule whose rest takes fewer steps than planned.

    Args:
        planned: the schedule as planned.
        phase: the phase, which has been shortened.
    """

    def __init__(
        self, planned: keras.optimizers.schedules.LearningRateSchedule, phase: Phase
    ) -> None:
        self._planned, self._segments = planned, phase.segments

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        """Return the learning rate of a step since the phase began."""
        step = ops.cast(step, "float32")
        place = ops.zeros_like(step)
        for (first, start), (last, end) in self._segments:
            part = ops.clip((step - first) / max(last - first, 1), 0, 1)
            place = place + (end - start) * part
        return self._planned(place)
