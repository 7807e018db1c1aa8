"""Training and measurement of the runs of all folds."""

from __future__ import annotations

import gc
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from records.storage import redact_url
from records.storage.errors import HINT_FIX, translate_write_errors
from records.text.escaping import escape_surrogates
from trainers.backend import several_models
from trainers.cross_validation.result import (
    CrossValidation,
    FoldResult,
    accuracy_interval,
    decode_folds,
    encode_folds,
    metric_names,
    summarize,
)
from trainers.evaluation.evaluate import evaluate_plan, plan_evaluation
from trainers.evaluation.prediction_table import PredictionTable
from trainers.runs.create import complete_run
from trainers.runs.fold_folders import FOLDS, OUT_OF_FOLD
from trainers.runs.result import find_result
from trainers.runs.run_dir import open_run
from trainers.runs.run_folder import open_run_folder
from trainers.training.progress import EpochMessages, NullProgress
from trainers.training.train import train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainers.cross_validation.plan import FoldsPlan
    from trainers.runs.result import TrainingResult
    from trainers.runs.run_folder import RunFolder
    from trainers.training.planning import TrainingPlan
    from trainers.training.progress import Progress


def find_finished(plan: FoldsPlan) -> CrossValidation | None:
    """Return the result of a cross-validation; None if a run of its plan is not finished.

    Raises:
        CorruptDataError: `folds.json`, or the result of a run, is damaged.
        OutputError, StorageError: a missing label map of a run cannot be written.
    """
    folder = open_run_folder(plan.location)
    finished = [done for each in plan.folds if (done := find_result(each)) is not None]
    is_written = folder.stat(FOLDS) is not None and folder.stat(OUT_OF_FOLD) is not None
    if len(finished) < len(plan.folds) or not is_written:
        return None
    with folder.open(FOLDS) as stream:
        saved = decode_folds(stream.read(), path=folder.display_name(FOLDS))
    # A run may have been trained for longer on its own.
    trained = [(each.steps, each.weights_epoch) for each in finished]
    if trained != [(each.steps, each.weights_epoch) for each in saved.folds]:
        return None
    for each in plan.folds:
        complete_run(each.run)
    return saved


def train_folds(
    plan: FoldsPlan,
    *,
    on_message: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
) -> CrossValidation:
    """Train the runs that are not finished, one after the other, then measure each on its fold.

    Args:
        plan: the result of `plan_folds`.
        on_message: called with each line that the user should read.
        progress: the object that is notified of each step and epoch of each run; by default,
            `on_message` is called with one line per epoch.
        quiet: whether to show no progress of the measurement.

    Returns:
        The content of `folds.json`.

    Raises:
        ShardmillError: as `trainers.training.train.train`.
    """
    report = on_message or _ignore
    if progress is None:
        progress = NullProgress() if on_message is None else EpochMessages(on_message)
    folder = open_run_folder(plan.location)
    folder.remove(FOLDS)
    with several_models():
        try:
            results = [_train_fold(plan, number, report, progress) for number in plan.numbers]
        finally:
            folder.remove_empty_folder()  # if no run has kept anything
    with several_models(), folder.lock(_create_nothing):
        folder.remove_leftovers("")
        return _measure(plan, folder, results, quiet=quiet)


def _train_fold(
    plan: FoldsPlan, number: int, report: Callable[[str], None], progress: Progress
) -> TrainingResult:
    """Return the result of the run of a fold; train it unless it is finished."""
    run, title = plan.folds[number - 1], f"fold {number} of {len(plan.folds)}"
    done = find_result(run)
    if done is not None:
        complete_run(run.run)
        report(f"{title} is finished")
        return done
    report(title)
    done = train(run, on_message=report, progress=progress)
    # Otherwise the model would stay in the memory of a GPU while the next one trains.
    gc.collect()
    return done


def _measure(
    plan: FoldsPlan, folder: RunFolder, results: Sequence[TrainingResult], *, quiet: bool
) -> CrossValidation:
    """Write the predictions for all images, then `folds.json`; return its content."""
    with tempfile.TemporaryFile() as table:
        folds = [
            _measure_fold(number, run, result, table, quiet=quiet)
            for number, run, result in zip(plan.numbers, plan.folds, results, strict=True)
        ]
        with translate_write_errors(tempfile.gettempdir(), hint=HINT_FIX):
            table.seek(0)  # flushes the buffer
        folder.write(OUT_OF_FOLD, table)
    config = plan.folds[0].config
    result = summarize(
        folds,
        run=escape_surrogates(redact_url(plan.location)),
        dataset=config.dataset,
        model=config.options.model,
        mode=config.options.mode,
        task=config.task,
    )
    folder.write(FOLDS, encode_folds(result))
    return result


def _measure_fold(
    number: int, plan: TrainingPlan, result: TrainingResult, table: BinaryIO, *, quiet: bool
) -> FoldResult:
    """Return the metrics of a run on its fold, and add the predictions to the table."""
    run = open_run(plan.run_location)
    skip_bad = plan.config.options.skip_bad
    measured = plan_evaluation(run, plan.dataset, "validation", skip_bad=skip_bad)
    evaluation = evaluate_plan(
        replace(measured, quiet=quiet),
        table=PredictionTable(run, fold=number, file=table),
    )
    metrics = {name: getattr(evaluation, name) for name in metric_names(plan.config.task)}
    return FoldResult(
        fold=number,
        run=result.run,
        training_images=result.training_images,
        validation_images=evaluation.images,
        steps=result.steps,
        weights_epoch=result.weights_epoch,
        metrics=metrics,
        accuracy_interval=accuracy_interval(metrics, evaluation.images),
        seconds=result.seconds,
    )


def _create_nothing() -> None:
    """Create nothing: the runs have created the folder."""


def _ignore(_line: str) -> None:
    """Discard a line."""
