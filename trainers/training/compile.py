"""Loss, optimizer, learning rate schedule, precision and class weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from trainers.models.registry import find_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.backend import Backend
    from trainers.options import Precision, TrainOptions
    from trainers.training.phases import Phase


Loss = Callable[[Any, Any], Any]


def set_precision(precision: Precision, hardware: Backend) -> str:
    """Set the Keras dtype policy of new layers, and return its name."""
    automatic = "mixed_bfloat16" if hardware.has_bfloat16 else "float32"
    policy = automatic if precision == "auto" else precision
    keras.config.set_dtype_policy(policy)
    return policy


def compile_model(
    model: keras.Model, options: TrainOptions, phase: Phase
) -> tuple[keras.metrics.Metric, ...]:
    """Compile a model; return its accuracy metric, then the metrics of a registered model."""
    custom = find_model(options.model).custom
    metrics = (
        keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        *((make() for make in custom.metrics) if custom else ()),
    )
    loss = custom.loss if custom and custom.loss is not None else None
    model.compile(
        optimizer=build_optimizer(options, phase),
        loss=choose_loss(options.label_smoothing) if loss is None else loss,
        metrics=list(metrics),
        jit_compile="auto" if options.jit is None else options.jit,
    )
    model.optimizer.build(model.trainable_variables)  # otherwise TensorFlow traces the step twice
    return metrics


def choose_loss(label_smoothing: float) -> Loss:
    """Return the mean cross-entropy of integer labels (batch,) and logits (batch, classes).

    Args:
        label_smoothing: the fraction of the probability that is spread evenly over all
            classes (Szegedy et al., "Rethinking the Inception Architecture for Computer Vision",
            2016).
    """
    if not label_smoothing:
        crossentropy: Loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return crossentropy

    def smoothed_crossentropy(labels: Any, logits: Any) -> Any:
        truth = ops.one_hot(ops.reshape(labels, (-1,)), logits.shape[-1], dtype=logits.dtype)
        return keras.losses.categorical_crossentropy(
            truth, logits, from_logits=True, label_smoothing=label_smoothing
        )

    return smoothed_crossentropy


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


def balance_classes(counts: Sequence[int]) -> dict[int, float]:
    """Return class weights that give all classes the same total weight.

    The sum of the weights over all images is the number of images.

    Args:
        counts: the number of training images of each class.

    Returns:
        The weight of each label, for `keras.Model.fit`: images / (classes x images of the class),
        where `classes` counts only classes with images; 0 for a class without images.
    """
    images = sum(counts)
    classes = sum(count > 0 for count in counts)
    return {
        label: images / (classes * count) if count else 0.0 for label, count in enumerate(counts)
    }
