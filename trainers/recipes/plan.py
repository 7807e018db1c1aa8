"""All choices of a recipe, with the length of the run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from records.dataset import open_dataset
from records.text.formatting import pluralize
from trainers.input.image_size import resolve_image_size
from trainers.input.selection import select_for_training
from trainers.models import find_model, is_reference
from trainers.models.hub.preset import resolve_preset
from trainers.options import Augmentation, RecipeName
from trainers.recipes.choose import SETTINGS, Choices, choose_cache, choose_options
from trainers.recipes.facts import find_facts
from trainers.recipes.measure import STEPS, measure_speed
from trainers.recipes.time_plan import (
    LEAST_STEPS,
    Work,
    epoch_seconds,
    fit_steps,
    least_seconds,
    main_seconds,
)
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from records.dataset import Dataset
    from trainers.input.selection import Selection
    from trainers.options import TrainOptions
    from trainers.recipes.choose import Recipe
    from trainers.recipes.facts import Facts
    from trainers.recipes.time_plan import Speed
    from trainers.training.planning import TrainingPlan

_RESERVE = 1.5
_LEAST_HEAD_EPOCHS = 10
_LEAST_EPOCHS = 2
"""The fewest epochs of fine-tuning that are better than none."""


class RecipeRequest(NamedTuple):
    """A recipe that the user asks for.

    Attributes:
        name: the name of the recipe.
        minutes: the time for the run; None means no limit.
        given: the names of the options that the user gave, which the recipe does not change.
        started_at: the time of `time.monotonic` when the command started.
    """

    name: RecipeName
    minutes: float | None
    given: frozenset[str]
    started_at: float

    @property
    def measures_speed(self) -> bool:
        """Return whether the number of epochs follows from the speed of the machine."""
        return self.minutes is not None and not self.given & {"epochs", "steps"}


class ChosenRun(NamedTuple):
    """What a recipe has chosen.

    Attributes:
        options: all options of the run.
        reasons: a line for each choice.
        time_limit_seconds: the time from the first step of the run on; None means no limit.
    """

    options: TrainOptions
    reasons: tuple[str, ...]
    time_limit_seconds: float | None


def choose_run(
    location: str | os.PathLike[str],
    run: str | os.PathLike[str],
    options: TrainOptions,
    request: RecipeRequest,
    *,
    on_message: Callable[[str], None],
) -> ChosenRun:
    """Return the options of a run by a recipe; with a time, measure the speed of the machine.

    Args:
        location: the path or URL of the dataset.
        run: the path or URL of the run, which must be absent or empty.
        options: the options of the user, and the defaults of the others.
        request: the recipe.
        on_message: called with each line that the user should read.

    Raises:
        ShardmillError: an error that `plan_training` raises, or the weights are of no known model.
    """
    dataset = open_dataset(location)
    training, _ = select_for_training(dataset, options.validation_split, options.fold)
    weights = None if "model" in request.given else options.weights
    data = _Data(dataset, training, find_facts(dataset, training, weights))
    recipe = SETTINGS[request.name]
    if not request.measures_speed:
        choices = _choose(request, recipe, data, options)
        epochs = recipe.epochs[choices.options.mode].planned
        choices.choose("epochs", epochs, f"the recipe {request.name}, {choices.options.mode}")
        limit_s = None if request.minutes is None else max(_left_s(request), 0.0)
        return ChosenRun(choices.options, choices.reasons, limit_s)
    return _fit(location, run, options, request, data=data, on_message=on_message)


class _Data(NamedTuple):
    dataset: Dataset
    training: Selection
    facts: Facts


def _choose(request: RecipeRequest, recipe: Recipe, data: _Data, options: TrainOptions) -> Choices:
    """Return all choices except the number of epochs."""
    choices = Choices(options, request.given)
    choices.note(
        "recipe", f"recipe {request.name}: {pluralize(data.facts.images, 'training image')}"
    )
    choose_options(request.name, recipe, data.facts, choices)
    model = choices.options.model
    if not is_reference(model):
        spec, _ = resolve_preset(find_model(model))
        size = choices.options.image_size
        shape = resolve_image_size(data.dataset, data.training, size, spec)
        if size is None:
            image_size = shape.height_px, shape.width_px
            is_default = image_size == spec.size_px
            reason = f"the default of {model}" if is_default else "the size of the images"
            shown = f"{shape.width_px}x{shape.height_px}"
            choices.choose("image_size", image_size, reason, shown=shown)
        choose_cache(choices, data.training.records * shape.size_bytes)
    return choices


def _fit(
    location: str | os.PathLike[str],
    run: str | os.PathLike[str],
    options: TrainOptions,
    request: RecipeRequest,
    *,
    data: _Data,
    on_message: Callable[[str], None],
) -> ChosenRun:
    """Return the choices that fit in the time: fine-tuning if it can have enough epochs."""
    recipe = SETTINGS[request.name]
    choices = _choose(request, recipe._replace(is_finetuned=True), data, options)
    plan = plan_training(location, run, choices.options)
    on_message(f"measuring the speed of this machine: up to {STEPS} steps")
    speed = measure_speed(plan, _left_s(request))
    if _left_s(request) <= 0:
        on_message(f"the time of {_describe(request)} has ended: the run has the fewest steps")
    work = _work_of(plan)
    main_s = main_seconds(speed, work, _left_s(request))
    epoch_s = epoch_seconds(speed, work)
    is_short = main_s < _LEAST_EPOCHS * epoch_s
    if is_short and choices.options.mode == "finetune" and "mode" not in request.given:
        choices = _choose(request, recipe._replace(is_finetuned=False), data, options)
        choices.note(
            "finetune",
            f"no fine-tuning: an epoch would take about {epoch_s:.0f} s of {_describe(request)}",
        )
        speed = speed._replace(step_s=0.0)
        work = work._replace(head_epochs=0, unfreeze_epochs=0)
        main_s, epoch_s = main_seconds(speed, work, _left_s(request)), epoch_seconds(speed, work)
        # With few images, features take about as long as the fewest steps, and serve more epochs.
        if main_s < epoch_s and work.epoch_steps > LEAST_STEPS:
            reason = "the features of all images would take too long"
            choices.choose("augment", Augmentation(flip="horizontal"), reason, shown="flip")
            step_s = speed.feature_image_s * choices.options.batch_size
            speed, work = speed._replace(step_s=step_s), work._replace(feature_images=0)
            main_s = main_seconds(speed, work, _left_s(request))
    _choose_length(request, recipe, choices, work=work, speed=speed, main_s=main_s)
    # After fewer steps, a model would be useless.
    limit_s = max(_left_s(request) - speed.setup_s, _RESERVE * least_seconds(speed, work))
    return ChosenRun(choices.options, choices.reasons, limit_s)


def _choose_length(
    request: RecipeRequest,
    recipe: Recipe,
    choices: Choices,
    *,
    work: Work,
    speed: Speed,
    main_s: float,
) -> None:
    epoch_s = epoch_seconds(speed, work)
    most = recipe.epochs[choices.options.mode].most
    fitting = int(main_s / epoch_s)
    if not speed.step_s:  # the features take the time, and not the epochs
        fitting = max(fitting, _LEAST_HEAD_EPOCHS)
    epochs = min(fitting, most)
    reason = f"{_describe(request)} at about {epoch_s:.3g} s per epoch, measured on some steps"
    if speed.feature_image_s and work.feature_images:
        features_s = speed.feature_image_s * work.feature_images
        reason += f", after about {features_s:.0f} s for stored features"
    if epochs >= 1:
        reason += f"; at most {most} with this recipe" * (epochs == most)
        choices.choose("epochs", epochs, reason)
    else:
        steps = fit_steps(speed, work, main_s)
        choices.choose("steps", steps, f"{reason}: less than one epoch")


def _work_of(plan: TrainingPlan) -> Work:
    unfreeze_epochs = plan.config.options.unfreeze_epochs
    epochs = plan.phases[-1].first_step // plan.epoch_steps
    stored = any(map(plan.reads_features, plan.phases))
    shards = {*plan.training.shards, *plan.validation.shards}
    return Work(
        epoch_steps=plan.epoch_steps,
        validation_steps=plan.validation_steps,
        feature_images=sum(shard.records for shard in shards) if stored else 0,
        head_epochs=epochs - unfreeze_epochs,
        unfreeze_epochs=unfreeze_epochs,
        final_steps=plan.final_steps,
    )


def _left_s(request: RecipeRequest) -> float:
    """Return the rest of the time in seconds."""
    return 60 * (request.minutes or 0) - (time.monotonic() - request.started_at)


def _describe(request: RecipeRequest) -> str:
    minutes = request.minutes or 0
    return f"{minutes:g} {'minute' if minutes == 1 else 'minutes'}"
