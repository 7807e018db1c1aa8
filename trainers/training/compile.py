"""Loss, metrics, optimizer, learning rate schedule and precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

from records.errors import UsageError
from records.text.escaping import escape_for_display
from trainers.models.registry import find_model
from trainers.training.metric_state import build_metrics

if TYPE_CHECKING:
    from trainers.backend import Backend
    from trainers.options import Precision, TrainOptions
    from trainers.tasks import ClassCounts, Task
    from trainers.tasks.validation_metric import ValidationMetric
    from trainers.training.phases import Phase


class CompiledMetrics(NamedTuple):
    """The metrics of a compiled model, besides the loss.

    Attributes:
        both: the metrics for training and validation: those of the task, then those of a
            registered model.
        validation: the metric that only validation updates, if the task has one.
    """

    both: tuple[keras.metrics.Metric, ...]
    validation: ValidationMetric | None = None


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
    counts: ClassCounts | None = None,
) -> CompiledMetrics:
    """Compile a model for a task; return its metrics.

    Args:
        model: the model from images or features to logits (batch, classes).
        options: the options of the run.
        phase: the phase for which the model is compiled.
        task: the task of the run.
        counts: the counts by which the loss balances the classes; None for equal weights.

    Raises:
        UsageError: two metrics have the same name, or a metric does not fit the task.
    """
    custom = find_model(options.model).custom
    metrics = (*task.metrics(), *((make() for make in custom.metrics) if custom else ()))
    outputs = model.output_shape[-1]
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
        optimizer=build_optimizer(options, phase),
        loss=task.loss(options.label_smoothing, counts) if loss is None else loss,
        metrics=[*metrics, *((validation,) if validation is not None else ())],
        jit_compile="auto" if options.jit is None else options.jit,
    )
    build_metrics(model, task.no_labels(outputs), np.zeros((1, outputs), np.float32))
    model.optimizer.build(model.trainable_variables)  # otherwise TensorFlow traces the step twice
    return CompiledMetrics(metrics, validation)


def build_optimizer(options: TrainOptions, phase: Phase) -> keras.optimizers.Optimizer:
    """Return the optimizer of a phase; only its learning rate differs from Keras defaults."""
    return keras.optimizers.get(
        {"class_name": options.optimizer, "config": {"learning_rate": _schedule(options, phase)}}
    )


def _schedule(
    options: TrainOptions, phase: Phase
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate: a warm-up from 0, then a constant rate or a cosine decay to 0."""
    if options.schedule == "constant" and not options.warmup_steps:
        return phase.learning_rate
    steps = phase.end_step - phase.first_step
    warmup_steps = min(options.warmup_steps, steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup_steps else phase.learning_rate,
        decay_steps=max(steps - warmup_steps, 1),
        alpha=1.0 if options.schedule == "constant" else 0.0,
        warmup_target=phase.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
