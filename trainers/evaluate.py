"""Measuring a trained model on a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records.dataset import open_dataset
from records.errors import NoInputError, UsageError
from trainers.damage import naming_damage
from trainers.input import ShardSource, read_in_order
from trainers.metrics import Evaluation, count_confusion, sum_loss, summarize
from trainers.plan import check_shards
from trainers.plots import plot_confusion
from trainers.run_folder import Run
from trainers.selection import select_for_evaluation
from trainers.weights import load_model

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from records.dataset import Dataset
    from trainers.selection import Selection


def evaluate(
    run: Run, target: str | None = None, split: str | None = None, *, say: Callable[[str], None]
) -> Evaluation:
    """Measure a run's model on a split.

    Args:
        run: with weights.
        target: the dataset; None is the one the run was trained on, where it was then.
        split: None is `test`, else what training validates on.
        say: told, a line each, what the user should know.

    Raises:
        NoInputError: there is no such dataset.
        UsageError: the dataset has other classes, or not that split.
        DamagedError: the dataset or the weights are damaged.
    """
    dataset = open_trained_dataset(run, target)
    selection = select_for_evaluation(dataset, split)
    check_shards(dataset, selection)
    say(f"evaluating on {selection.records:,} images of {selection.role}")
    model = load_model(run)
    with naming_damage(dataset, selection, say=say):
        return measure(run, model, dataset, selection)


def draw_confusion(run: Run, evaluation: Evaluation) -> str:
    """Draw `confusion-SPLIT.png` into the run folder; its path. Raises TargetError."""
    name = f"confusion-{evaluation.split}.png"
    run.write(name, plot_confusion(evaluation, run.labels))
    return run.describe(name)


def open_trained_dataset(run: Run, target: str | None) -> Dataset:
    """The dataset to measure on; its classes are the run's. Raises NoInputError, UsageError."""
    location = run.config.dataset if target is None else target
    try:
        dataset = open_dataset(location)
    except NoInputError as error:
        if target is None:
            error.hint = "say where the dataset is now: shardmill evaluate RUN TARGET"
        raise
    if dataset.labels != run.labels:
        raise UsageError(
            "the dataset has other classes than the run",
            path=dataset.storage.url,
            expected=_name_some(run.labels),
            got=_name_some(dataset.labels),
        )
    return dataset


def _name_some(labels: tuple[str, ...]) -> str:
    return f"{len(labels)}: {', '.join(labels[:5])}{' …' * (len(labels) > 5)}"


def measure(run: Run, model: keras.Model, dataset: Dataset, selection: Selection) -> Evaluation:
    """Every figure of a model on some records."""
    classes = len(run.labels)
    confusion = np.zeros((classes, classes), np.int64)
    loss_sum = 0.0
    source = ShardSource.of(dataset, run.config.shape)
    batches = read_in_order(source, selection, run.config.options.batch_size)
    for images, labels in batches.as_numpy_iterator():
        logits = np.asarray(model.predict_on_batch(images))
        confusion += count_confusion(logits, labels, classes)
        loss_sum += sum_loss(logits, labels)
    return summarize(selection.role, run.labels, confusion, loss_sum)
