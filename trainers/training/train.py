"""Training, from the plan to the finished run, to be read from top to bottom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import keras

from trainers.backend import check_batch_size, data_parallel, start_backend
from trainers.input.bad_records import TF_READ_ERRORS, find_bad_records, locate_bad_records
from trainers.input.pipeline import ShardSource
from trainers.input.selection import count_classes
from trainers.models.build import build_network
from trainers.models.freezing import count_parameters
from trainers.models.pretrained import load_base
from trainers.plots.charts import plot_curves
from trainers.runs.create import open_for_writing
from trainers.runs.result import TrainingResult, encode_result
from trainers.runs.run_dir import CURVES, RESULT, Run
from trainers.training.checkpoints import TrainingState, list_checkpoints, read_state, restore_model
from trainers.training.compile import balance_classes, set_precision
from trainers.training.epoch_logger import EpochLogger, TensorBoardWriter
from trainers.training.loop import TrainingLoop
from trainers.training.phase_setup import PhaseSetup, set_up_phase
from trainers.training.phases import split_steps
from trainers.training.signals import defer_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.models.build import Network
    from trainers.training.plan import TrainingPlan
    from trainers.training.progress import Progress


def train(plan: TrainingPlan, *, say: Callable[[str], None], progress: Progress) -> TrainingResult:
    """Train a model as planned, into the plan's run folder; go on where an earlier process was.

    Args:
        plan: what to do.
        say: told, a line each, what the user should know.
        progress: told of steps and epochs.

    Raises:
        CorruptDataError: a record cannot be read.
        OutputError: the run cannot be written.
        LockedError: another process is training into it.
        UsageError: the loss is no number any more, or weights do not fit.
    """
    config, hardware = plan.config, start_backend()
    check_batch_size(config.options.batch_size, hardware)
    set_precision(config.options.precision, hardware)
    with (
        open_for_writing(plan.run_path, config, plan.dataset.labels) as run,
        locate_bad_records(plan.dataset, plan.training, plan.validation, say=say),
        data_parallel(hardware),
    ):
        keras.utils.set_random_seed(config.options.seed)
        network = build_network(config.architecture)
        if plan.weights is not None:
            load_base(network, config.architecture.model, plan.weights)
        checkpoint = next(reversed(list_checkpoints(run)), None)
        state = read_state(checkpoint) if checkpoint else TrainingState(config.options.seed)
        logs = TensorBoardWriter(run.path) if config.options.tensorboard else None
        recorder = EpochLogger(plan, run, network, state.epochs, progress=progress, logs=logs)
        session = TrainingLoop(plan, run, recorder, state, batch_divisor=hardware.batch_divisor)
        progress.start(plan.epochs, plan.epoch_steps)
        for phase in session.phases:
            damaged = frozenset(shard for shard, _ in session.damaged)
            stage = set_up_phase(
                plan, network, phase, damaged=damaged, say=say, on_progress=progress.extract
            )
            if checkpoint is not None:
                say(f"going on at step {session.step:,} of {plan.phases[-1].end_step:,}")
                restore_model(stage.model, checkpoint)
                checkpoint = None
            _run_phase(session, stage, say)
        session.save_checkpoint_now(stage)
        return _finish(plan, run, network, session)


def _run_phase(session: TrainingLoop, stage: PhaseSetup, say: Callable[[str], None]) -> None:
    """The steps of a phase that are left."""
    plan = session.plan
    class_weights: dict[int, float] = {}
    if plan.config.options.class_weights == "balanced":
        class_weights = balance_classes(count_classes(plan.dataset, plan.training).tolist())
    session.begin_phase()
    with defer_signals() as session.stop:
        _run_steps(session, stage, class_weights, say)
    if stage.phase is not plan.phases[-1]:
        session.stop.obey()  # asked for in the phase's last validation, after its last step


def _run_steps(
    session: TrainingLoop,
    stage: PhaseSetup,
    class_weights: dict[int, float],
    say: Callable[[str], None],
) -> None:
    """Stretch after stretch, and past damaged records where that was asked for."""
    plan = session.plan
    while session.validation_pending or not session.is_over(stage.phase):
        try:
            if session.validation_pending:
                session.end_epoch(stage, session.step)
            for stretch in split_steps(session.step, stage.phase.end_step, plan.epoch_steps):
                if not session.is_over(stage.phase):
                    session.run_stretch(stage, stretch, class_weights)
        except TF_READ_ERRORS as error:
            stage = _leave_out_damage(session, stage, error, say)


def _leave_out_damage(
    session: TrainingLoop, stage: PhaseSetup, error: Exception, say: Callable[[str], None]
) -> PhaseSetup:
    """The stage without the records that cannot be read, if they are as few as was allowed."""
    plan, most = session.plan, session.plan.config.options.skip_bad
    if not most:
        raise error
    session.metric_sums = session.sum_metrics(stage)
    say("a record cannot be read; looking for all that are damaged")
    parts = session.training, session.validation
    found = [damaged for part in parts for damaged in find_bad_records(plan.dataset, part)]
    if not found:
        raise error
    if len(session.damaged) + len(found) > most:
        found[0].error.hint = f"more than --skip-bad {most} records are damaged, this is the first"
        raise found[0].error from error
    for damaged in found:
        say(f"left out: {damaged.error}")
    session.leave_out(found)
    shards = frozenset(shard for shard, _ in session.damaged)
    return replace(stage, source=ShardSource.from_dataset(plan.dataset, plan.config.shape, shards))


def _finish(
    plan: TrainingPlan, run: Run, network: Network, session: TrainingLoop
) -> TrainingResult:
    options, kept = plan.config.options, session.recorder.kept_epoch()
    run.write(CURVES, plot_curves(session.recorder.epochs))
    total, trained = count_parameters(network)
    result = TrainingResult(
        run=str(plan.run_path),
        model=options.model,
        mode=options.mode,
        epochs=len(session.recorder.epochs),
        steps=session.step,
        weights_epoch=kept.epoch,
        training_images=plan.training.records,
        validation_images=plan.validation.records,
        parameters=total,
        trained_parameters=trained,
        accuracy=kept.accuracy,
        loss=kept.loss,
        val_accuracy=kept.val_accuracy,
        val_loss=kept.val_loss,
        seconds=round(session.seconds, 3),
        damaged_records=len(session.damaged),
    )
    run.write(RESULT, encode_result(result))
    return result
