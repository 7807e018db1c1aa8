"""Comparison of runs: their results, and the options in which they differ.

print(runs(["first", "second"]))
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from records.arguments import check_arguments
from records.errors import UsageError
from records.storage.exclusive import require_new, write_new_file
from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate, align
from trainers.comparison.paired import PairedComparison
from trainers.options import TaskName
from trainers.runs.history import EpochMetrics, read_history
from trainers.runs.result import TrainingResult, read_result
from trainers.runs.run_dir import Run, open_run
from trainers.tasks import task_of
from trainers.tasks.intervals import Interval, format_accuracy, wilson_interval

_ACCURACY = "val_accuracy"
_VALUE_CHARACTERS = 40
_FORMATS: dict[str, tuple[str, Callable[[float], str]]] = {
    "val_mean_average_precision": ("mean average precision", "{:.1%}".format),
    "val_r2": ("R²", "{:.3f}".format),
    _ACCURACY: ("accuracy", "{:.1%}".format),
}


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run so far.

    Attributes:
        run: the path or URL of the run.
        model: the name of the model.
        mode: `scratch`, `transfer` or `finetune`.
        task: `classification`, `multi-label` or `regression`.
        dataset: the path or URL of the dataset.
        is_finished: whether the run is finished.
        epochs: the number of completed epochs.
        weights_epoch: the epoch to which the metrics belong: the one whose weights are saved, or
            the last one if the run is not finished.
        metrics: the metrics of this epoch, by their columns in `history.csv`.
        val_accuracy_interval: the bounds of the 95 % confidence interval of the validation
            accuracy; None if the task has no accuracy, or the run is not finished.
        training_images: the number of training images; None if the run is not finished.
        validation_images: the number of validation images; None if the run is not finished.
        parameters: the number of parameters of the network; None if the run is not finished.
        seconds: the duration of the completed epochs.
    """

    run: str
    model: str
    mode: str
    task: TaskName
    dataset: str
    is_finished: bool
    epochs: int
    weights_epoch: int
    metrics: dict[str, float]
    val_accuracy_interval: Interval | None = None
    training_images: int | None = None
    validation_images: int | None = None
    parameters: int | None = None
    seconds: float


class RunsComparison(msgspec.Struct, frozen=True):
    """Runs, and the options in which they differ.

    Attributes:
        runs: the runs, in the given order.
        differences: the values of each option that differs, one per run, by the name of the option
            in `config.json`.
        same_validation: whether all runs are validated on the same images; None if that is not
            known, because a run is not finished.
        split: the split on which the accuracies of the runs were compared; None if they were not.
        comparisons: the comparison of the first run with each of the others on the images of this
            split that both have predicted; None if there are none.
    """

    runs: tuple[RunSummary, ...]
    differences: dict[str, tuple[Any, ...]]
    same_validation: bool | None
    split: str | None = None
    comparisons: tuple[PairedComparison | None, ...] = ()

    def lines(self) -> list[str]:
        """Return a table of the runs, a table of the differences, and notes."""
        numbers = [str(number) for number in range(1, len(self.runs) + 1)]
        rows: list[tuple[str, ...]] = [
            ("", "run", "model", "validation", "loss", "epoch", "time"),
        ]
        rows += [
            (number, *_describe(each)) for number, each in zip(numbers, self.runs, strict=True)
        ]
        found = align(rows, right=">   >>>")
        if self.differences:
            options = [("option", *numbers)]
            options += [
                (name, *map(format_option, values)) for name, values in self.differences.items()
            ]
            found += ["", *align(options)]
        return [*found, *self._verdicts(), *self._notes()]

    def _verdicts(self) -> Iterator[str]:
        for number, found in enumerate(self.comparisons, 2):
            if found is None:
                yield f"{self.split}: runs 1 and {number} have no image in common"
            else:
                yield f"{self.split}: {found.describe('run 1', f'run {number}')}"

    def _notes(self) -> Iterator[str]:
        unfinished = [number for number, each in enumerate(self.runs, 1) if not each.is_finished]
        if unfinished:
            yield f"not finished: {', '.join(map(str, unfinished))}"
        if set(self.differences) == {"fold"}:
            yield from _describe_spread(self.runs)
            return
        if self.same_validation is False:
            yield "these runs are validated on different images, so their metrics do not compare"
        if self._may_differ_by_chance():
            yield "--split NAME evaluates the runs, and tests whether their accuracies differ"

    def _may_differ_by_chance(self) -> bool:
        """Return whether the runs have accuracies that were not compared on the same images."""
        tasks = {each.task for each in self.runs}
        return len(self.runs) > 1 and tasks == {"classification"} and not self.comparisons

    def __repr__(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True)
class _Opened:
    """A run, its history, and its result; None if it is not finished."""

    run: Run
    epochs: list[EpochMetrics]
    result: TrainingResult | None

    @property
    def shown(self) -> EpochMetrics:
        """Return the epoch whose weights are saved, or the last one."""
        if self.result is None:
            return self.epochs[-1]
        wanted = self.result.weights_epoch
        return next((each for each in self.epochs if each.epoch == wanted), self.epochs[-1])


@check_arguments
def runs(
    locations: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    chart: str | os.PathLike[str] | None = None,
    split: str | None = None,
    on_message: Callable[[str], None] | None = None,
) -> RunsComparison:
    """Compare runs: their results, and the options in which they differ.

    With `split`, each run is also evaluated on this split of its dataset, and the accuracy of the
    first run is compared with that of each of the others on the images that both have predicted:
    the exact McNemar test, and a confidence interval of the difference.

    Args:
        locations: the path or URL of one or more runs, which have completed an epoch.
        chart: the path of a new PNG file with the validation metric and the validation loss of all
            runs by epoch.
        split: the split to evaluate the runs on; None evaluates nothing, and reads only the run
            folders.
        on_message: called with each line that `evaluate` would print.

    Raises:
        InputNotFoundError: a folder is not a run, or has no weights yet; or its dataset, if the
            runs are evaluated, does not exist.
        CorruptDataError: a file of a run is damaged; or a record, if the runs are evaluated.
        UsageError: no run is given, the tasks of the runs in the chart differ, or the runs cannot
            be evaluated on the split.
        OutputError: the chart exists, or cannot be written.
        StorageError: storage failed after retries.
    """
    chosen = [locations] if isinstance(locations, str | os.PathLike) else locations
    if not chosen:
        raise UsageError("no run is given", hint="name one or more: shardmill runs RUN…")
    if chart is not None:
        require_new(os.fspath(chart))
    opened = [_open(open_run(location)) for location in chosen]
    found = [each.run for each in opened]
    comparisons = () if split is None else _compare(found, split, on_message)
    if chart is not None:
        write_new_file(os.fspath(chart), _draw(opened))
    return RunsComparison(
        runs=tuple(map(_summarize, opened)),
        differences=find_differences(found),
        same_validation=_have_same_validation(opened),
        split=split,
        comparisons=comparisons,
    )


def _compare(
    opened: Sequence[Run], split: str, on_message: Callable[[str], None] | None
) -> tuple[PairedComparison | None, ...]:
    if len(opened) == 1:
        raise UsageError("one run has nothing to be compared with", hint="name two or more runs")
    from trainers.comparison.evaluated import compare_on_split

    return tuple(compare_on_split(opened, split, on_message))


def _open(run: Run) -> _Opened:
    return _Opened(run, read_history(run), read_result(run))


def _summarize(opened: _Opened) -> RunSummary:
    run, result, shown = opened.run, opened.result, opened.shown
    metrics = shown.to_columns()
    del metrics["epoch"], metrics["seconds"]
    images = None if result is None else result.validation_images
    accuracy = shown.val_accuracy
    interval = None
    if accuracy is not None and images:
        interval = wilson_interval(round(accuracy * images), images)
    return RunSummary(
        run=run.location,
        model=run.config.options.model,
        mode=run.config.options.mode,
        task=run.config.task,
        dataset=run.config.dataset,
        is_finished=result is not None,
        epochs=len(opened.epochs),
        weights_epoch=shown.epoch,
        metrics=metrics,
        val_accuracy_interval=interval,
        training_images=None if result is None else result.training_images,
        validation_images=images,
        parameters=None if result is None else result.parameters,
        seconds=round(sum(each.seconds for each in opened.epochs), 3),
    )


def find_differences(opened: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """Return the values of each option that differs, one per run, by the name of the option."""
    configs = [_flatten(_settings(run)) for run in opened]
    names = {name: None for config in configs for name in config}
    values = {name: tuple(config.get(name) for config in configs) for name in names}
    return {
        name: found for name, found in values.items() if any(each != found[0] for each in found)
    }


def _settings(run: Run) -> dict[str, Any]:
    """Return the options of a run, with the values that the defaults stand for."""
    config = run.config
    shape = config.shape
    resolved = {
        "learning_rate": config.learning_rate,
        "image_size": (shape.height_px, shape.width_px),
        "dropout": config.architecture.dropout,
        "dataset": config.dataset,
        "generations": len(config.plan_digests),
        "images": msgspec.to_builtins(config.images),
    }
    return {**msgspec.to_builtins(config.options), **resolved}


def _flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def _have_same_validation(opened: Sequence[_Opened]) -> bool | None:
    if any(each.result is None for each in opened):
        return None
    kinds = {
        (
            each.run.config.plan_digests,
            each.run.config.options.validation_split,
            each.run.config.options.fold,
            each.run.config.task,
            each.result and each.result.validation_images,
        )
        for each in opened
    }
    return len(kinds) == 1


def _describe(found: RunSummary) -> tuple[str, ...]:
    """Return the cells of a run: name, model, metric, loss, epoch and time."""
    return (
        escape_for_display(found.run),
        escape_for_display(f"{found.model}, {found.mode}"),
        _describe_metric(found),
        f"{found.metrics['val_loss']:.3f}",
        f"{found.weights_epoch}/{found.epochs}",
        f"{found.seconds:.0f} s",
    )


def _describe_metric(found: RunSummary) -> str:
    for name, (title, text) in _FORMATS.items():
        value = found.metrics.get(name)
        if value is not None:
            images = found.validation_images if name == _ACCURACY else None
            return f"{title} {format_accuracy(value, images) if images else text(value)}"
    return "–"


def _describe_spread(folds: Sequence[RunSummary]) -> Iterator[str]:
    """Yield a line with the mean and the standard deviation of the metric of several folds."""
    for name, (title, text) in _FORMATS.items():
        values = [each.metrics[name] for each in folds if name in each.metrics]
        if len(values) == len(folds):
            mean, deviation = text(statistics.fmean(values)), text(statistics.stdev(values))
            yield f"folds of one cross-validation: mean {title} {mean}, deviation {deviation}"
            return


def format_option(value: Any) -> str:
    """Return the value of an option for display, shortened if it is long."""
    if isinstance(value, list | tuple):
        return "x".join(map(str, value))
    return abbreviate(escape_for_display("–" if value is None else str(value)), _VALUE_CHARACTERS)


def _draw(opened: Sequence[_Opened]) -> bytes:
    from trainers.plots.charts import plot_runs

    metrics = {task_of(each.run.config).curves for each in opened}
    if len(metrics) > 1:
        raise UsageError(
            "the runs have different tasks, so they have no common chart",
            got=", ".join(sorted({each.run.config.task for each in opened})),
            hint="draw one chart for each task",
        )
    return plot_runs([(each.run.location, each.epochs) for each in opened], metrics.pop())
