"""Training, from the plan to the finished run, to be read from top to bottom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import keras

from trainers.checkpoints import TrainingState, list_checkpoints, read_state, restore_model
from trainers.class_weights import balance_classes
from trainers.damage import FROM_READING, find_damage, naming_damage
from trainers.devices import check_batch_size, over_all_gpus, start_backend
from trainers.input import ShardSource
from trainers.models.freezing import count_parameters
from trainers.models.network import build_network
from trainers.models.pretrained import load_base
from trainers.optimization import set_precision
from trainers.phases import divide_steps
from trainers.plots import plot_curves
from trainers.recorder import Recorder
from trainers.result import TrainingResult, encode_result
from trainers.run_beginning import open_for_training
from trainers.run_folder import CURVES, RESULT, Run
from trainers.selection import count_classes
from trainers.session import Session
from trainers.stage import Stage, prepare_stage
from trainers.stopping import deferring_stop
from trainers.tensorboard import Logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.models.network import Network
    from trainers.plan import TrainingPlan
    from trainers.progress import Progress


def train(plan: TrainingPlan, *, say: Callable[[str], None], progress: Progress) -> TrainingResult:
    """Train a model as planned, into the plan's run folder; go on where an earlier process was.

    Args:
        plan: what to do.
        say: told, a line each, what the user should know.
        progress: told of steps and epochs.

    Raises:
        DamagedError: a record cannot be read.
        TargetError: the run cannot be written.
        BusyError: another process is training into it.
        UsageError: the loss is no number any more, or weights do not fit.
    """
    config, hardware = plan.config, start_backend()
    check_batch_size(config.options.batch_size, hardware)
    set_precision(config.options.precision, hardware)
    with (
        open_for_training(plan.run_path, config, plan.dataset.labels) as run,
        naming_damage(plan.dataset, plan.training, plan.validation, say=say),
        over_all_gpus(hardware),
    ):
        keras.utils.set_random_seed(config.options.seed)
        network = build_network(config.architecture)
        if plan.weights is not None:
            load_base(network, config.architecture.model, plan.weights)
        checkpoint = next(reversed(list_checkpoints(run)), None)
        state = read_state(checkpoint) if checkpoint else TrainingState(config.options.seed)
        logs = Logs(run.path) if config.options.tensorboard else None
        recorder = Recorder(plan, run, network, state.epochs, progress=progress, logs=logs)
        session = Session(plan, run, recorder, state, batch_divisor=hardware.batch_divisor)
        progress.start(plan.epochs, plan.epoch_steps)
        for phase in session.phases:
            damaged = frozenset(shard for shard, _ in session.damaged)
            stage = prepare_stage(
                plan, network, phase, damaged=damaged, say=say, on_progress=progress.extract
            )
            if checkpoint is not None:
                say(f"going on at step {session.step:,} of {plan.phases[-1].end_step:,}")
                restore_model(stage.model, checkpoint)
                checkpoint = None
            _run_phase(session, stage, say)
        session.keep_checkpoint(stage)
        return _finish(plan, run, network, session)


def _run_phase(session: Session, stage: Stage, say: Callable[[str], None]) -> None:
    """The steps of a phase that are left."""
    plan = session.plan
    class_weights: dict[int, float] = {}
    if plan.config.options.class_weights == "balanced":
        class_weights = balance_classes(count_classes(plan.dataset, plan.training).tolist())
    session.begin_phase()
    with deferring_stop() as session.stop:
        _run_steps(session, stage, class_weights, say)
    if stage.phase is not plan.phases[-1]:
        session.stop.obey()  # asked for in the phase's last validation, after its last step


def _run_steps(
    session: Session, stage: Stage, class_weights: dict[int, float], say: Callable[[str], None]
) -> None:
    """Stretch after stretch, and past damaged records where that was asked for."""
    plan = session.plan
    while session.is_epoch_due or not session.is_over(stage.phase):
        try:
            if session.is_epoch_due:
                session.end_epoch(stage, session.step)
            for stretch in divide_steps(session.step, stage.phase.end_step, plan.epoch_steps):
                if not session.is_over(stage.phase):
                    session.run_stretch(stage, stretch, class_weights)
        except FROM_READING as error:
            stage = _leave_out_damage(session, stage, error, say)


def _leave_out_damage(
    session: Session, stage: Stage, error: Exception, say: Callable[[str], None]
) -> Stage:
    """The stage without the records that cannot be read, if they are as few as was allowed."""
    plan, most = session.plan, session.plan.config.options.skip_bad
    if not most:
        raise error
    session.metric_sums = session.sum_metrics(stage)
    say("a record cannot be read; looking for all that are damaged")
    parts = session.training, session.validation
    found = [damaged for part in parts for damaged in find_damage(plan.dataset, part)]
    if not found:
        raise error
    if len(session.damaged) + len(found) > most:
        found[0].error.hint = f"more than --skip-bad {most} records are damaged, this is the first"
        raise found[0].error from error
    for damaged in found:
        say(f"left out: {damaged.error}")
    session.leave_out(found)
    shards = frozenset(shard for shard, _ in session.damaged)
    return replace(stage, source=ShardSource.of(plan.dataset, plan.config.shape, shards))


def _finish(plan: TrainingPlan, run: Run, network: Network, session: Session) -> TrainingResult:
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
