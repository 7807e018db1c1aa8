"""Evaluation of a run on a split of a dataset.

    result = evaluate("run")
    print(result.accuracy, result.per_class)

Invalid arguments raise an error before Keras loads.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from records.arguments import NotNegative, check_arguments
from records.dataset import Dataset, open_dataset
from records.errors import InputNotFoundError, UsageError
from records.runtime.progress import progress_bar
from records.storage.exclusive import require_new
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.augment.test_time import views_of
from trainers.backend import start_backend
from trainers.evaluation.comparable import (
    find_fold,
    leave_out_trained,
    require_same_outputs,
    require_same_preparation,
)
from trainers.evaluation.mistakes import locate_records
from trainers.evaluation.prediction_table import PredictionTable
from trainers.evaluation.scoring import new_scoring
from trainers.input.selection import check_shards, select_for_evaluation, select_known
from trainers.options import KeptWeights, Mistakes, Views
from trainers.runs.run_dir import Run, open_run
from trainers.tasks import task_of
from trainers.tasks.target import find_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import keras
    from numpy.typing import NDArray

    from trainers.evaluation.scoring import AnyEvaluation, Scoring
    from trainers.input.bad_records import SkippedRecords
    from trainers.input.selection import Selection

    OnBatch = Callable[[NDArray[np.floating], NDArray[Any], NDArray[np.object_]], None]


@dataclass(frozen=True)
class EvaluationPlan:
    """A run, and the records to evaluate it on.

    Args:
        run: a run with weights.
        dataset: a dataset with the classes, or the target, of the run.
        selection: the records to evaluate on.
        excluded_images: the number of images that are left out because the run trained on them.
        notes: lines for the user.
        skip_bad: the maximum number of damaged records to skip.
        quiet: whether to show no progress.
        views: the number of views of each image, whose outputs are averaged.
    """

    run: Run
    dataset: Dataset
    selection: Selection
    excluded_images: int = 0
    notes: tuple[str, ...] = ()
    skip_bad: int = 0
    quiet: bool = False
    views: int = 1

    @property
    def passed(self) -> tuple[Selection, ...]:
        """The records to evaluate on, and those that a reader of their shards passes."""
        return (self.selection,) if self.selection.mask is None else self.selection.with_rest()


@check_arguments
def evaluate(
    run: str | os.PathLike[str] | Run,
    dataset: str | os.PathLike[str] | Dataset | None = None,
    split: str | None = None,
    *,
    mistakes: Mistakes = 0,
    skip_bad: NotNegative = 0,
    csv: str | os.PathLike[str] | None = None,
    weights: KeptWeights | None = None,
    tta: Views = 1,
    on_message: Callable[[str], None] | None = None,
) -> AnyEvaluation:
    """Evaluate a run on a split of a dataset.

    If the dataset is not the one that the run was trained on, or has changed since, images that the
    run trained on are left out, unless the split is `train`. If the run predicts a number, images
    without a value of its target are left out too.

    Args:
        run: the path or URL of a run, or a `Run`.
        dataset: a path, a URL or a `Dataset`. None means the dataset that the run was trained on,
            at the path or URL that the run has recorded.
        split: the name of a split. None means `test` or, if the dataset has no test split,
            `validation`: the records that the run was validated on.
        mistakes: the maximum number of worst mistakes in the result.
        skip_bad: the maximum number of damaged records to skip; if there are more, the first one
            raises an error.
        csv: the path of a new CSV file with a row per image: its key, its true and its predicted
            class, and the score of each class; see `prediction_columns`.
        weights: the weights of the run: those of the `best` or of the `last` epoch; None means the
            best or, for a `Run`, those that it was opened with.
        tta: the number of views of each image whose scores are averaged: the image, mirrored, and
            corners of it.
        on_message: called with each line that the command line would print.

    Returns:
        An `Evaluation`: accuracy, loss, metrics per class, confusion matrix and calibration. If the
        dataset has several labels per image, a `MultiLabelEvaluation`: mean average precision,
        loss, and metrics per class at the thresholds of the run. If the run predicts a number, a
        `RegressionEvaluation`: errors in the unit of the target, and R².

    Raises:
        InputNotFoundError: the run or the dataset does not exist.
        UsageError: the task, the classes or the image options of dataset and run differ, the
            dataset does not keep the target, the split is missing, or the run trained on all of
            its images.
        CorruptDataError: the weights, the thresholds or more than `skip_bad` records are damaged,
            or no record is intact.
        OutOfMemoryError: a batch does not fit into memory.
        OutputError: the CSV file exists, or cannot be written.
    """
    if csv is not None:
        require_new(os.fspath(csv))
    opened = open_run(run, weights)
    plan = plan_evaluation(opened, dataset, split, skip_bad=skip_bad, views=tta)
    return evaluate_plan(plan, mistakes=mistakes, csv=csv, on_message=on_message)


def plan_evaluation(
    run: Run,
    dataset: str | os.PathLike[str] | Dataset | None = None,
    split: str | None = None,
    *,
    skip_bad: int = 0,
    views: int = 1,
) -> EvaluationPlan:
    """Select the records to evaluate on; see `evaluate`.

    Raises:
        InputNotFoundError: the dataset does not exist.
        UsageError: the classes or the image options of dataset and run differ, the dataset does
            not keep the target, the split is missing, the run trained on all of its images, or
            `skip_bad` is negative.
        CorruptDataError: the dataset is damaged, or the size of a shard differs from the manifest
            and `skip_bad` is 0.
    """
    if skip_bad < 0:
        raise UsageError("argument skip_bad: expected a number >= 0", got=skip_bad)
    opened = dataset if isinstance(dataset, Dataset) else _open_dataset(run, dataset)
    require_same_outputs(run, opened)
    require_same_preparation(run, opened)
    selection = select_for_evaluation(opened, split, find_fold(run, opened))
    check_shards(opened, selection, sizes=not skip_bad)
    untrained = leave_out_trained(run, opened, selection)
    known, notes = untrained.selection, untrained.notes
    if run.target is not None:
        known = select_known(opened, known, run.target)
        if unknown := untrained.selection.records - known.records:
            column = escape_for_display(run.target)
            images = pluralize(unknown, "image")
            notes = (*notes, f"leaving out {images} without a value of {column}")
    return EvaluationPlan(run, opened, known, untrained.excluded, notes, skip_bad, views=views)


def evaluate_plan(
    plan: EvaluationPlan,
    *,
    mistakes: int = 0,
    csv: str | os.PathLike[str] | None = None,
    table: PredictionTable | None = None,
    on_message: Callable[[str], None] | None = None,
    on_batch: OnBatch | None = None,
) -> AnyEvaluation:
    """Run a planned evaluation; see `evaluate`.

    With one label per image, the memory use does not depend on the number of images. With several,
    it is 9 bytes for each class of each image; for a number per image, 16 bytes for each image.

    Args:
        plan: the run and the records.
        mistakes: the maximum number of worst mistakes in the result.
        csv: the path of a new CSV file with a row per image; see `evaluate`.
        table: the table that gets the rows, if they are not written to a new CSV file.
        on_message: called with each line for the user.
        on_batch: called with logits (batch, outputs), labels and keys (batch,) of each batch. After
            damaged records were found, all batches come again.
    """
    start_backend()

    from trainers.input.bad_records import SkippedRecords
    from trainers.models.load import load_model

    report = on_message or _ignore
    for note in plan.notes:
        report(note)
    labels = plan.run.labels
    model = load_model(plan.run)
    damaged = SkippedRecords(plan.dataset, plan.passed, plan.skip_bad, on_message=report)
    table = table if csv is None else PredictionTable(plan.run)
    scoring = _measure(
        plan, model, damaged, mistakes=mistakes, table=table, report=report, on_batch=on_batch
    )
    if csv is not None and table is not None:
        table.save(os.fspath(csv))
    keys = [mistake.key for mistake in scoring.ranked()]
    locations = locate_records(plan.dataset, plan.selection, keys)
    evaluation: AnyEvaluation = scoring.summarize(
        plan.selection.purpose, labels, locations, plan.excluded_images
    )
    skipped = plan.selection.records - plan.selection.excluding(damaged.records).records
    return msgspec.structs.replace(evaluation, damaged_records=skipped)


def _measure(
    plan: EvaluationPlan,
    model: keras.Model,
    damaged: SkippedRecords,
    *,
    mistakes: int,
    table: PredictionTable | None,
    report: Callable[[str], None],
    on_batch: OnBatch | None,
) -> Scoring:
    """Score all intact records; start again without the damaged ones if there are some."""
    from trainers.input.bad_records import TF_READ_ERRORS, locate_bad_records

    while True:
        scoring = new_scoring(plan.run, mistakes)
        receivers = [scoring.add, *_start(table), *filter(None, [on_batch])]
        with locate_bad_records(plan.dataset, *plan.passed, on_message=report):
            try:
                for batch in score_batches(plan, model, damaged):
                    for receive in receivers:
                        receive(*batch)
            except TF_READ_ERRORS as error:
                found = damaged.add_damaged(error)
                if not plan.selection.excluding(damaged.records).records:
                    raise found[0].error from error
            else:
                return scoring


def _start(table: PredictionTable | None) -> Iterator[OnBatch]:
    """Start a table; yield the function that receives its batches."""
    if table is not None:
        table.restart()
        yield table.add


def score_batches(
    plan: EvaluationPlan, model: keras.Model, damaged: SkippedRecords | None = None
) -> Iterator[tuple[NDArray[np.floating], NDArray[Any], NDArray[np.object_]]]:
    """Yield logits (batch, outputs), labels and keys (batch,) of every intact record."""
    from trainers.input.pipeline import ShardSourceWithKeys, ordered_batches

    config, selection, shards = plan.run.config, plan.selection, frozenset[str]()
    if damaged is not None:
        selection, shards = selection.excluding(damaged.records), damaged.shards
    labelled = ShardSourceWithKeys.from_dataset(
        plan.dataset, config.shape, shards, decoder=config.decoder
    )
    target = plan.run.target
    column = None if target is None else find_column(plan.dataset, target)
    task = task_of(config)
    source = labelled.with_target(column)
    batches = ordered_batches(source, selection, config.options.batch_size)
    total, quiet = selection.records, plan.quiet
    with progress_bar("evaluating", unit="images", total=total, quiet=quiet) as bar:
        for images, (labels, keys) in batches.as_numpy_iterator():
            views = views_of(images, plan.views)
            logits = [np.asarray(model.predict_on_batch(view)) for view in views]
            yield logits[0] if plan.views == 1 else task.average(logits), labels, keys
            bar.update(len(labels))


def _open_dataset(run: Run, location: str | os.PathLike[str] | None) -> Dataset:
    try:
        return open_dataset(run.config.dataset if location is None else location)
    except InputNotFoundError as error:
        if location is None:
            error.hint = "name the dataset: shardmill evaluate RUN DATASET"
        raise


def _ignore(_line: str) -> None:
    """Discard a line."""
