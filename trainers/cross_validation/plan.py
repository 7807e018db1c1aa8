"""Plan of a cross-validation: the plans of its runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from trainers.advice import list_classes
from trainers.input.selection import count_classes
from trainers.options import Fold
from trainers.runs.create import require_empty
from trainers.runs.fold_folders import fold_location
from trainers.runs.run_dir import is_run
from trainers.runs.run_folder import open_run_folder
from trainers.training.planning import TrainingPlan, plan_training

if TYPE_CHECKING:
    from trainers.options import TrainOptions


@dataclass(frozen=True)
class FoldsPlan:
    """All decisions of a cross-validation.

    Args:
        location: the path or URL of the folder: absent, empty, or a cross-validation to resume.
        folds: the plan of the run of each fold.
        notes: the lines to show before the first run starts.
    """

    location: str
    folds: tuple[TrainingPlan, ...]
    notes: tuple[str, ...]

    @property
    def numbers(self) -> range:
        """The numbers of the folds."""
        return range(1, len(self.folds) + 1)


def first_run(plan: TrainingPlan | FoldsPlan) -> TrainingPlan:
    """Return a plan of one run, or that of the first fold, whose model is that of all folds."""
    return plan.folds[0] if isinstance(plan, FoldsPlan) else plan


def plan_folds(
    dataset: str | os.PathLike[str],
    location: str | os.PathLike[str],
    folds: int,
    options: TrainOptions,
    *,
    resume: bool = False,
    choices: tuple[str, ...] = (),
) -> FoldsPlan:
    """Plan a run for each fold of the dataset; all of them, before the first one starts.

    Args:
        dataset: the path or URL of the dataset.
        location: the path or URL of the folder of the runs, which must be absent or empty, unless
            `resume` is set.
        folds: the number of folds.
        options: the options of the runs; the fold is replaced.
        resume: whether to continue an existing cross-validation; if none exists, a new one starts.
        choices: the choices of a recipe for new runs, each with its reason.

    Raises:
        UsageError: an option conflicts with the dataset, the model or an existing run, or there are
            too few images.
        InputNotFoundError, CorruptDataError: as `plan_training`.
        OutputError: the location is a file, or a folder with files that may not be continued.
    """
    if not resume or is_run(open_run_folder(location)):
        require_empty(location, dataset=dataset)
    plans = tuple(
        plan_training(
            dataset,
            fold_location(location, number),
            msgspec.structs.replace(options, fold=str(Fold(number, folds))),
            resume=resume,
            choices=choices,
        )
        for number in range(1, folds + 1)
    )
    own = (note for plan in plans for note in plan.notes)
    notes = tuple(dict.fromkeys((*own, *_note_dataset(plans[0], folds))))
    return FoldsPlan(os.fspath(location), plans, notes)


def _note_dataset(plan: TrainingPlan, folds: int) -> Iterator[str]:
    """Yield notes on classes that some folds do not have, and on an unused split."""
    dataset = plan.dataset
    if plan.target_column is None:
        counts = count_classes(dataset, replace(plan.training, mask=None)).tolist()
        pairs = zip(dataset.labels, counts, strict=True)
        if rare := [name for name, count in pairs if 0 < count < folds]:
            yield f"classes with fewer images than folds: {list_classes(rare)}"
    if dataset.get("validation"):
        yield "the split validation is not used: each run validates on its fold of train"
