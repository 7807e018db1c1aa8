"""One training run, from its plan to its result: read this first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.runtime.telemetry import span
from records.storage import redact_url
from records.text.escaping import escape_surrogates
from trainers.advice import advise_on_unpredicted, describe_best_epoch
from trainers.backend import check_batch_size, data_parallel, start_backend
from trainers.input.selection import hash_images
from trainers.loggers import open_loggers
from trainers.runs.create import open_for_writing
from trainers.runs.history import encode_history
from trainers.runs.result import TrainingResult, encode_result
from trainers.runs.run_dir import CLASS_MEANS, CURVES, HISTORY, RESULT, TRAINING_IMAGES, Run
from trainers.runs.trained_images import write_trained_images
from trainers.tasks import task_of
from trainers.training.progress import EpochMessages, NullProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainers.class_means.means import ClassMeans
    from trainers.models.build import Network
    from trainers.training.loop import TrainingLoop
    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.planning import TrainingPlan
    from trainers.training.progress import Progress


def train(
    plan: TrainingPlan,
    *,
    on_message: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Run a training plan, resuming from the newest checkpoint if the run folder has one.

        result = train(plan_training("data", "run", TrainOptions(epochs=3)))
        print(result.val_accuracy)

    Args:
        plan: the result of `trainers.training.planning.plan_training`.
        on_message: called with each line that the user should read.
        progress: the object that is notified of each step and epoch; by default, `on_message` is
            called with one line per epoch.

    Returns:
        The content of `result.json`.

    Raises:
        CorruptDataError: a record cannot be read.
        OutputError: the run cannot be written.
        LockedError: another process is training this run.
        StorageError: storage failed after retries, or a service of `log` does not accept the run.
        UsageError: the loss became NaN or infinite, the pretrained weights do not fit the model, or
            the GPUs cannot share a batch of this size.
        OutOfMemoryError: a step needs more memory than the device has.
    """
    if progress is None:
        progress = NullProgress() if on_message is None else EpochMessages(on_message)
    on_message = on_message or _ignore
    options, backend = plan.config.options, start_backend()
    on_message(f"running on {backend}")
    if backend.problem is not None:
        on_message(backend.problem)

    # These modules import Keras, so the backend must be started first.
    import keras

    from trainers.input.bad_records import locate_bad_records
    from trainers.models.build import build_network
    from trainers.models.freezing import prepare_groups
    from trainers.models.pretrained import load_backbone
    from trainers.training.checkpoints import (
        TrainingState,
        latest_checkpoint,
        read_state,
        restore_model,
    )
    from trainers.training.compile import set_precision
    from trainers.training.epoch_logger import EpochLogger
    from trainers.training.loop import TrainingLoop
    from trainers.training.phase_setup import set_up_phase

    validation_images = plan.validation.records
    check_batch_size(options.batch_size, backend, validation_images=validation_images)
    set_precision(options.precision, backend)
    with (
        open_for_writing(plan.run_location, plan.config, plan.labels) as run,
        locate_bad_records(
            plan.dataset,
            plan.training,
            plan.validation,
            on_message=on_message,
            batch_size=options.batch_size,
        ),
        data_parallel(backend),
        open_loggers(options.loggers, run, on_message) as loggers,
    ):
        _record_images(plan, run)
        keras.utils.set_random_seed(options.seed)
        network = build_network(plan.config.architecture)
        if plan.weights is not None:
            load_backbone(network, options.model, plan.weights)
        prepare_groups(network, options)
        checkpoint = latest_checkpoint(run)
        state = read_state(run, checkpoint) if checkpoint else TrainingState(options.seed)
        plan = plan.shortened(*state.shortened)
        loop = TrainingLoop(
            plan,
            run,
            EpochLogger(plan, run, network, state, progress=progress, loggers=loggers),
            state,
            batch_divisor=backend.batch_divisor,
            on_message=on_message,
        )
        progress.start(plan.epochs, plan.epoch_steps, epoch=len(state.epochs) + 1)
        for phase in loop.phases:
            with span("prepare"):
                setup = set_up_phase(
                    plan,
                    network,
                    phase,
                    damaged=loop.damaged.shards,
                    on_message=on_message,
                    on_progress=progress.extract,
                )
            if checkpoint is not None:
                on_message(f"resuming at step {loop.step:,} of {plan.phases[-1].end_step:,}")
                is_new_phase = loop.step == phase.first_step
                loop.restore(restore_model(setup.model, run, checkpoint, is_new_phase=is_new_phase))
                checkpoint = None
            with span("train"):
                setup = loop.run_phase(setup)
        loop.epoch_logger.save_weights()  # a callback of the model may have stopped the training
        loop.write_checkpoint(setup)
        plan = loop.plan  # the last phase may have had to end earlier
        for line in _describe_end(plan, loop):
            on_message(line)
        class_means = _measure_class_means(plan, network, loop, setup)
        return _write_result(plan, run, network, loop, class_means)


def _record_images(plan: TrainingPlan, run: Run) -> None:
    """Record the training images, by which an evaluation recognizes them in another dataset."""
    if not run.has(TRAINING_IMAGES):
        hashes = hash_images(plan.dataset, plan.training)
        pairs = zip(hashes, plan.training.shard_masks, strict=True)
        write_trained_images(run, [found[chosen] for found, chosen in pairs])


def _describe_end(plan: TrainingPlan, loop: TrainingLoop) -> Iterator[str]:
    """Yield the lines about the epoch whose weights are kept."""
    logger, options = loop.epoch_logger, plan.config.options
    if _has_stopped_early(plan, loop):
        yield logger.describe_early_stop()
    else:
        best = describe_best_epoch(logger.epochs_of(plan.phases[-1]), logger.saved_epoch())
        yield from filter(None, [best])
    if logger.best is not None:
        never = logger.best.findings.never_predicted
        advice = advise_on_unpredicted(never, plan.labels, options, plan.config.learning_rate)
        yield from filter(None, [advice])


def _has_stopped_early(plan: TrainingPlan, loop: TrainingLoop) -> bool:
    last = plan.phases[-1]
    return loop.step < last.end_step and loop.epoch_logger.should_stop(last)


@span("class-means")
def _measure_class_means(
    plan: TrainingPlan, network: Network, loop: TrainingLoop, setup: PhaseSetup
) -> ClassMeans | None:
    """Return the class means of the kept weights; None if the run has no use for them."""
    from trainers.class_means.measure import find_features, measure_class_means
    from trainers.input.bad_records import TF_READ_ERRORS
    from trainers.input.pipeline import ordered_batches

    if not task_of(plan.config).is_exclusive or loop.epoch_logger.best is None:
        return None
    compute = find_features(network, of_head=plan.reads_features(setup.phase))
    if compute is None:
        return None
    network.model.set_weights(loop.epoch_logger.best_weights)
    while True:
        images = loop.training.followed_by(loop.validation)
        batch_size = start_backend().limit_batch(plan.config.options.batch_size, images.records)
        try:
            return measure_class_means(
                compute,
                ordered_batches(setup.source, images, batch_size),
                training_images=loop.training.records,
                classes=len(plan.labels),
                batch_size=batch_size,
            )
        except TF_READ_ERRORS as error:
            setup = loop.exclude_bad_records(setup, error)


@span("write")
def _write_result(
    plan: TrainingPlan,
    run: Run,
    network: Network,
    loop: TrainingLoop,
    class_means: ClassMeans | None,
) -> TrainingResult:
    """Write the class means and the curves, then `result.json`; return the result."""
    from trainers.class_means.file import encode_class_means
    from trainers.models.freezing import count_parameters
    from trainers.plots.charts import plot_curves

    options, saved = plan.config.options, loop.epoch_logger.saved_epoch()
    epochs = loop.epoch_logger.epochs
    parameters, trained_parameters = count_parameters(network)
    result = TrainingResult(
        run=escape_surrogates(redact_url(plan.run_location)),
        model=options.model,
        mode=options.mode,
        epochs=len(epochs),
        steps=loop.step,
        weights_epoch=saved.epoch,
        training_images=plan.training.records,
        validation_images=plan.validation.records,
        parameters=parameters,
        trained_parameters=trained_parameters,
        accuracy=saved.accuracy,
        loss=saved.loss,
        val_accuracy=saved.val_accuracy,
        val_loss=saved.val_loss,
        seconds=round(loop.seconds, 3),
        damaged_records=len(loop.damaged.records),
        stopped_early=_has_stopped_early(plan, loop),
        task=plan.config.task,
        metrics=saved.extra,
    )
    means = {} if class_means is None else {CLASS_MEANS: encode_class_means(class_means)}
    run.write_all(
        {
            **means,
            HISTORY: encode_history(epochs),
            CURVES: plot_curves(epochs, task_of(plan.config).curves),
            RESULT: encode_result(result),
        }
    )
    return result


def _ignore(_message: str) -> None:
    """Discard a message."""
