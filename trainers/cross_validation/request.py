"""The runs that a call of `train` trains, and their options."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from records.errors import UsageError
from records.storage import redact_url
from trainers.cross_validation.plan import FoldsPlan, plan_folds
from trainers.options import Fold, RecipeName, TrainOptions
from trainers.recipes import ChosenRun, RecipeRequest, choose_run
from trainers.runs.fold_folders import find_folds, fold_location
from trainers.runs.resume import find_run, merge_options
from trainers.training.planning import TrainingPlan, plan_training
from trainers.training.planning.option_checks import complete_options

if TYPE_CHECKING:
    from trainers.config import RunConfig


class TrainRequest(NamedTuple):
    """The runs to train, before their dataset is opened.

    Attributes:
        run: the path or URL of the run, or of the folder of the runs of all folds.
        options: the options of the run, or of the run of the first fold.
        folds: the number of folds; None means one run.
        resume: whether runs that exist are continued.
        is_resumed: whether a run exists and is continued, so that the dataset must not change.
        recipe: the recipe of a new run; None if the options are complete.
    """

    run: str
    options: TrainOptions
    folds: int | None
    resume: bool
    is_resumed: bool
    recipe: RecipeRequest | None = None

    @property
    def measures_speed(self) -> bool:
        """Return whether the plan trains some steps, for which Keras is loaded."""
        recipe = self.recipe
        return recipe is not None and recipe.measures_speed

    @property
    def known_options(self) -> TrainOptions:
        """Return the options that can be checked without the dataset: none if a recipe chooses."""
        return self.options if self.recipe is None else TrainOptions()

    def plan(
        self, dataset: str | os.PathLike[str], on_message: Callable[[str], None] = lambda _: None
    ) -> TrainingPlan | FoldsPlan:
        """Plan the runs on a dataset; with a recipe, choose their options first.

        Raises:
            ShardmillError: as `plan_training`, `plan_folds` and `choose_run`.
        """
        chosen = ChosenRun(self.options, (), None)
        if self.recipe is not None:
            chosen = choose_run(dataset, self.run, self.options, self.recipe, on_message=on_message)
        options, choices = chosen.options, chosen.reasons
        if self.folds is None:
            return plan_training(
                dataset,
                self.run,
                options,
                resume=self.resume,
                choices=choices,
                time_limit_seconds=chosen.time_limit_seconds,
            )
        return plan_folds(
            dataset, self.run, self.folds, options, resume=self.resume, choices=choices
        )


def find_request(
    run: str | os.PathLike[str],
    options: TrainOptions,
    *,
    given: Mapping[str, Any],
    folds: int | None = None,
    resume: bool = False,
    recipe: RecipeName | None = None,
    minutes: float | None = None,
    started_at: float | None = None,
) -> TrainRequest:
    """Return the runs to train, with the options of runs that exist if they are resumed.

    Args:
        run: the path or URL of the run, or of the folder of the runs of all folds.
        options: the options of new runs.
        given: the options that the user gave, in the form of a run configuration: only these change
            runs that are resumed.
        folds: the number of folds; None means one run or, with `resume`, the cross-validation in
            the folder.
        resume: whether to continue runs that exist.
        recipe: the recipe of a new run, by default `fast` if `minutes` is given. A run that is
            resumed keeps its options.
        minutes: the time for a new run in minutes; None means no limit.
        started_at: the time of `time.monotonic` from which on `minutes` counts; None means now.

    Raises:
        UsageError: a fold or a time is given with a number of folds, or the folder has a run of
            another fold.
        CorruptDataError: the configuration of a run is invalid.
        StorageError: storage failed.
    """
    if folds is not None and options.fold is not None:
        raise UsageError(
            "--fold and --folds cannot be used together",
            hint="--folds N trains a run for every fold, --fold K/N a run for one of them",
        )
    if folds is not None and minutes is not None:
        raise UsageError(
            "--minutes and --folds cannot be used together",
            hint="--recipe NAME chooses the same options for the run of every fold",
        )
    if folds is None and resume and options.fold is None:
        folds = find_folds(run)
    found = _find_run(run, folds) if resume else None
    wanted = None
    if found is not None:
        chosen = merge_options(found, dict(given))
    else:
        chosen = complete_options(options, given)
        if recipe is not None or minutes is not None:
            started_at = time.monotonic() if started_at is None else started_at
            wanted = RecipeRequest(recipe or "fast", minutes, frozenset(given), started_at)
    if folds is not None:
        chosen = msgspec.structs.replace(chosen, fold=str(Fold(1, folds)))
    return TrainRequest(os.fspath(run), chosen, folds, resume, found is not None, wanted)


def _find_run(run: str | os.PathLike[str], folds: int | None) -> RunConfig | None:
    """Return the configuration of a run or of the first run of a cross-validation that exists."""
    if folds is None:
        return find_run(run)
    found = [_find_fold(run, Fold(number, folds)) for number in range(1, folds + 1)]
    return next((config for config in found if config is not None), None)


def _find_fold(run: str | os.PathLike[str], fold: Fold) -> RunConfig | None:
    location = fold_location(run, fold.number)
    found = find_run(location)
    if found is not None and found.options.fold != str(fold):
        raise UsageError(
            "the folder has a run of another fold",
            path=redact_url(location),
            expected=str(fold),
            got=found.options.fold or "a run without --fold",
            hint="choose a different folder, or resume this one without --folds",
        )
    return found
