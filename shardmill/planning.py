"""Python API of planned training runs: summarize, find_learning_rate; plans from arguments."""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from records.arguments import build_options, check_arguments
from records.storage.exclusive import require_absent, write_new_file
from trainers.augment.spec import to_augmentation
from trainers.options import Folds, RecipeName, TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from inspect import Parameter
    from os import PathLike

    from trainers.cross_validation.plan import FoldsPlan
    from trainers.learning_rate import LearningRateCurve
    from trainers.summary import TrainingSummary
    from trainers.training.planning import TrainingPlan


@check_arguments
def summarize(
    dataset: str | PathLike[str],
    run: str | PathLike[str],
    *,
    folds: Folds | None = None,
    data: str | PathLike[str] | None = None,
    recipe: RecipeName | None = None,
    minutes: float | None = None,
    resume: bool = False,
    speed: bool = False,
    **options: Any,
) -> TrainingSummary:
    """Summarize a planned training run: its layers, parameters, steps, memory and speed.

    Nothing is trained, no weights are read, and the run is not created. Takes the options of
    `train`.

        print(sm.summarize("data", "run", model="mobilenet_v2", mode="transfer"))

    Args:
        dataset: the folder or URL of a dataset, or of images, as for `convert`; they are converted
            first, with the default options.
        run: the folder or URL of the run; without `resume` it must be absent or empty.
        folds: the number of folds of a cross-validation: the summary is that of the run of its
            first fold. None means one run.
        data: the folder or URL for the dataset, if `dataset` is a source of images; None means a
            folder in the cache.
        recipe: the recipe that chooses model, mode, augmentation and epochs for the data: `fast` or
            `accurate`. None means no recipe or, with `minutes`, `fast`.
        minutes: the time for the call in minutes. The speed of the machine is measured, the recipe
            chooses what fits, and the run ends in time. None means no limit.
        resume: whether to continue the run if it exists.
        speed: whether to measure the speed of this machine, by up to 20 steps of a network with
            random weights, which is then discarded.
        options: options of `train`, such as `model` or `batch_size`.

    Raises:
        ShardmillError: an error that `train` raises before it trains.
    """
    from trainers.cross_validation.plan import first_run
    from trainers.summary import add_speed, summarize_training

    arguments = RunArguments(folds, data, recipe, minutes, resume, time.monotonic())
    plan = plan_runs(dataset, run, options, arguments, on_message=lambda _: None)
    run_plan = first_run(plan)
    summary = summarize_training(run_plan)
    return add_speed(run_plan, summary) if speed else summary


@check_arguments
def find_learning_rate(
    dataset: str | PathLike[str],
    *,
    picture: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    recipe: RecipeName | None = None,
    **options: Any,
) -> LearningRateCurve:
    """Try rising learning rates on some steps of a training run, and suggest one.

    Takes the options of `train`. The steps train the last phase of the run; nothing else is
    written, and the model is discarded.

        curve = sm.find_learning_rate("data", model="cnn")
        sm.train("data", "run", model="cnn", learning_rate=curve.suggestion)

    Args:
        dataset: the folder or URL of a dataset, or of images, as for `convert`; they are converted
            first, with the default options.
        picture: the path of a new PNG file for the curve; None means no file.
        data: the folder or URL for the dataset, if `dataset` is a source of images; None means a
            folder in the cache.
        recipe: the recipe that chooses options which are not given; None means no recipe.
        options: options of `train`, such as `model` or `batch_size`.

    Raises:
        ShardmillError: an error that `train` raises before it trains.
        OutputError: the picture exists, or cannot be written.
    """
    from trainers.cross_validation.plan import first_run
    from trainers.learning_rate import find_learning_rate as find
    from trainers.plots.learning_rate import plot_learning_rates

    if picture is not None:
        require_absent(os.fspath(picture))
    arguments = RunArguments(None, data, recipe, None, resume=False, started_at=time.monotonic())
    with tempfile.TemporaryDirectory() as folder:  # a plan needs a folder for its run
        plan = plan_runs(dataset, f"{folder}/run", options, arguments, on_message=lambda _: None)
    curve = find(first_run(plan))
    if picture is not None:
        write_new_file(os.fspath(picture), plot_learning_rates(curve))
    return curve


def given_options(
    arguments: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> dict[str, Any]:
    """Return the options of a call that differ from the defaults of its parameters."""

    def is_given(value: Any, default: Any) -> bool:
        is_plain = isinstance(value, str | int | float)
        return value is not default and not (is_plain and value == default)

    return {
        name: arguments[name]
        for name in TrainOptions.__struct_fields__
        if is_given(arguments[name], parameters[name].default)
    }


class RunArguments(NamedTuple):
    """The arguments of `train` that are not options of a run; see `shardmill.train`."""

    folds: int | None
    data: str | PathLike[str] | None
    recipe: RecipeName | None
    minutes: float | None
    resume: bool
    started_at: float


def plan_runs(
    dataset: str | PathLike[str],
    run: str | PathLike[str],
    given: dict[str, Any],
    arguments: RunArguments,
    *,
    on_message: Callable[[str], None],
) -> TrainingPlan | FoldsPlan:
    """Return the plan of the runs, after the conversion of their images if it is necessary."""
    from shardmill.source_dataset import make_dataset
    from trainers.cross_validation.request import find_request

    given = {name: value for name, value in given.items() if value is not None}
    options = _build_options(given)
    values = msgspec.structs.asdict(options)
    request = find_request(
        run,
        options,
        given={name: values[name] for name in given if name in values},
        folds=arguments.folds,
        resume=arguments.resume,
        recipe=arguments.recipe,
        minutes=arguments.minutes,
        started_at=arguments.started_at,
    )
    made = make_dataset(
        os.fspath(dataset),
        None if arguments.data is None else os.fspath(arguments.data),
        options=request.known_options,
        run=request.run,
        is_resumed=request.is_resumed,
        on_message=on_message,
    )
    return request.plan(made.location, on_message)


def _build_options(given: dict[str, Any]) -> TrainOptions:
    log = given.get("log", ())
    values = {
        "augment": to_augmentation(given.get("augment")),
        "image_size": square(given.get("image_size")),
        "log": [log] if isinstance(log, str) else log,
    }
    return build_options(TrainOptions, {**given, **values})


def square(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return (height, width) for the side of a square; other values are unchanged."""
    return (size, size) if isinstance(size, int) else size
