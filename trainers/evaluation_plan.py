"""An evaluation decided before Keras is loaded, so that what cannot work is said at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from records.dataset import open_dataset
from records.errors import NoInputError, UsageError
from records.text import printable
from trainers.plan import check_shards
from trainers.selection import select_for_evaluation

if TYPE_CHECKING:
    import os

    from records.dataset import Dataset
    from trainers.run_folder import Run
    from trainers.selection import Selection


@dataclass(frozen=True)
class EvaluationPlan:
    """What is measured on what.

    Args:
        run: with weights.
        dataset: of the run's classes.
        selection: the records to measure on.
    """

    run: Run
    dataset: Dataset
    selection: Selection


def plan_evaluation(
    run: Run, target: str | os.PathLike[str] | None = None, split: str | None = None
) -> EvaluationPlan:
    """Decide on what to measure a run's model.

    Args:
        run: with weights.
        target: the dataset; None is the one the run was trained on, where it was then.
        split: None is `test`, else what training validates on.

    Raises:
        NoInputError: there is no such dataset.
        UsageError: the dataset has other classes, or not that split.
        DamagedError: the dataset is damaged as far as names and sizes of its files tell.
    """
    dataset = _open_trained_dataset(run, target)
    _check_classes(run, dataset)
    selection = select_for_evaluation(dataset, split)
    check_shards(dataset, selection)
    return EvaluationPlan(run, dataset, selection)


def _open_trained_dataset(run: Run, target: str | os.PathLike[str] | None) -> Dataset:
    try:
        return open_dataset(run.config.dataset if target is None else target)
    except NoInputError as error:
        if target is None:
            error.hint = "say where the dataset is now: shardmill evaluate RUN TARGET"
        raise


def _check_classes(run: Run, dataset: Dataset) -> None:
    theirs, ours = dataset.labels, run.labels
    if len(theirs) != len(ours):
        raise UsageError(
            "the dataset has not as many classes as the run",
            path=dataset.storage.url,
            expected=_name_some(ours),
            got=_name_some(theirs),
        )
    for label, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        if their != our:
            raise UsageError(
                f"the dataset's label map is not the run's: label {label} is another class",
                path=dataset.storage.url,
                expected=printable(our),
                got=printable(their),
            )


def _name_some(labels: tuple[str, ...]) -> str:
    return f"{len(labels)}: {', '.join(labels[:5])}{' …' * (len(labels) > 5)}"
