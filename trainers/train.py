"""Training, from the plan to the finished run, to be read from top to bottom."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import keras
import msgspec
from keras import ops

from records.errors import UsageError
from trainers.cache import cache_folder, keep_on_disk
from trainers.damage import naming_damage
from trainers.history import EpochResult, encode_history
from trainers.input import (
    Order,
    RecordSource,
    ShardSource,
    count_steps,
    keep_in_memory,
    read_in_order,
    read_shuffled,
)
from trainers.models.network import build_network
from trainers.plots import plot_curves
from trainers.run_folder import CURVES, HISTORY, RESULT, WEIGHTS, Run, create_run, discard_run

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

    from trainers.plan import TrainingPlan
    from trainers.progress import Progress


class TrainingResult(msgspec.Struct, frozen=True):
    """What `train --json` prints, and `result.json`: of the last epoch, `seconds` of all."""

    run: str
    model: str
    epochs: int
    training_images: int
    validation_images: int
    accuracy: float
    loss: float
    val_accuracy: float
    val_loss: float
    seconds: float


def train(plan: TrainingPlan, *, say: Callable[[str], None], progress: Progress) -> TrainingResult:
    """Train a model as planned, into the plan's run folder.

    Args:
        plan: what to do.
        say: told, a line each, what the user should know.
        progress: told of steps and epochs.

    Raises:
        DamagedError: a record cannot be read.
        TargetError: the run cannot be written.
        UsageError: the loss is no number any more.
    """
    run = create_run(plan.run_path, plan.config, plan.dataset.labels)
    try:
        with naming_damage(plan.dataset, plan.training, plan.validation, say=say):
            return _train(plan, run, say, progress)
    finally:
        discard_run(run)


def _train(
    plan: TrainingPlan, run: Run, say: Callable[[str], None], progress: Progress
) -> TrainingResult:
    config, options = plan.config, plan.config.options

    keras.utils.set_random_seed(options.seed)
    network = build_network(config.architecture).model
    # A model of its own, so that the optimizer's state is not among the weights, twice their size.
    model = keras.Model(network.inputs, network.outputs[0])
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    training, validation = _open_input(plan, say)
    steps = count_steps(plan.training, options.batch_size)

    epochs: list[EpochResult] = []
    started = time.monotonic()

    def end_epoch(epoch: int, logs: dict[str, float]) -> None:
        seconds = time.monotonic() - started - sum(result.seconds for result in epochs)
        result = _epoch_result(epoch + 1, logs, model, seconds)
        _refuse_divergence(result)
        with run.replacing(WEIGHTS) as path:
            network.save_weights(path)
        epochs.append(result)
        run.write(HISTORY, encode_history(epochs))
        progress.end_epoch(result)

    progress.start(options.epochs, steps)
    model.fit(
        training,
        epochs=options.epochs,
        steps_per_epoch=steps,
        shuffle=False,  # the input is
        validation_data=validation,
        validation_steps=count_steps(plan.validation, options.batch_size),
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=end_epoch,
                on_train_batch_end=progress.end_step,
            )
        ],
    )
    run.write(CURVES, plot_curves(epochs))
    result = _result(plan, epochs)
    run.write(RESULT, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return result


def _open_input(
    plan: TrainingPlan, say: Callable[[str], None]
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Batches to train on, all epochs of them, and those to validate on."""
    options, shape = plan.config.options, plan.config.shape
    parts = plan.training, plan.validation
    order = Order(options.seed, options.epochs)
    shards = ShardSource.of(plan.dataset, shape)
    if options.cache == "memory":
        size_mb = sum(part.records for part in parts) * shape.size_bytes / 1e6
        say(f"keeping decoded images in memory ({size_mb:,.0f} MB)")
        return (
            keep_in_memory(shards, plan.training, options.batch_size, order),
            keep_in_memory(shards, plan.validation, options.batch_size),
        )
    on_disk = options.cache == "disk"
    source: RecordSource = (
        keep_on_disk(shards, *parts, below=cache_folder(), say=say) if on_disk else shards
    )
    return (
        read_shuffled(source, plan.training, options.batch_size, order),
        read_in_order(source, plan.validation, options.batch_size),
    )


def _epoch_result(
    epoch: int, logs: dict[str, float], model: keras.Model, seconds: float
) -> EpochResult:
    rate: Any = ops.convert_to_numpy(model.optimizer.learning_rate)
    return EpochResult(
        epoch=epoch,
        accuracy=logs["accuracy"],
        loss=logs["loss"],
        val_accuracy=logs["val_accuracy"],
        val_loss=logs["val_loss"],
        learning_rate=float(rate),
        seconds=seconds,
    )


def _refuse_divergence(result: EpochResult) -> None:
    if not math.isfinite(result.loss):
        raise UsageError(
            f"the loss is no number any more in epoch {result.epoch}",
            got=result.loss,
            hint=f"try a --learning-rate below {result.learning_rate:g}",
        )


def _result(plan: TrainingPlan, epochs: list[EpochResult]) -> TrainingResult:
    last = epochs[-1]
    return TrainingResult(
        run=str(plan.run_path),
        model=plan.config.options.model,
        epochs=last.epoch,
        training_images=plan.training.records,
        validation_images=plan.validation.records,
        accuracy=last.accuracy,
        loss=last.loss,
        val_accuracy=last.val_accuracy,
        val_loss=last.val_loss,
        seconds=round(sum(result.seconds for result in epochs), 3),
    )
