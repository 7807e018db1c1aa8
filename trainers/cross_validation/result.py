"""Result of a cross-validation, `folds.json`, and its text form."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from records.errors import CorruptDataError
from records.strict_json import decode_versioned, encode_canonical
from records.text.formatting import align, pluralize
from trainers.options import TaskName
from trainers.tasks.intervals import Interval, format_accuracy, wilson_interval

_FORMAT_VERSION = 1
_ACCURACY = "accuracy"
_HINT = "remove this file, and `shardmill train DATASET RUN --resume` writes it again"


class _Metric(NamedTuple):
    """A metric of `evaluate`.

    Attributes:
        name: the name of its field.
        title: its name for people.
        text: a function that returns a value as text.
        is_mean: whether it is a mean over the images, so that folds can be combined.
    """

    name: str
    title: str
    text: Callable[[float], str]
    is_mean: bool = True


_LOSS = _Metric("loss", "loss", "{:.3f}".format)
_METRICS: dict[str, tuple[_Metric, ...]] = {
    "classification": (_Metric(_ACCURACY, "accuracy", "{:.1%}".format), _LOSS),
    "multi-label": (
        _Metric("mean_average_precision", "mean average precision", "{:.1%}".format, is_mean=False),
        _LOSS,
    ),
    "regression": (
        _Metric("r2", "R²", "{:.3f}".format, is_mean=False),
        _Metric("mean_absolute_error", "mean absolute error", "{:.4g}".format),
        _LOSS,
    ),
}


class FoldResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The result of the run of one fold.

    Attributes:
        fold: the number of the fold, from 1.
        run: the path or URL of the run.
        training_images: the number of training images.
        validation_images: the number of images of the fold that were measured.
        steps: the number of finished steps.
        weights_epoch: the epoch whose weights are measured.
        metrics: the metrics of `evaluate` on the fold; a metric is None if it is not defined.
        accuracy_interval: the bounds of the 95 % confidence interval of the accuracy; None if the
            task has no accuracy.
        seconds: the duration of the run, without the time to load Keras.
    """

    fold: int
    run: str
    training_images: int
    validation_images: int
    steps: int
    weights_epoch: int
    metrics: dict[str, float | None]
    accuracy_interval: Interval | None
    seconds: float


class OutOfFold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The predictions for all images of `train`, each by the run that did not train on it.

    Attributes:
        images: the number of images.
        metrics: the metrics that are means over the images.
        accuracy_interval: the bounds of the 95 % confidence interval of the accuracy; None if the
            task has no accuracy.
    """

    images: int
    metrics: dict[str, float | None]
    accuracy_interval: Interval | None


class CrossValidation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The result of a cross-validation: `folds.json`, and the output of `train --folds --json`.

    Attributes:
        format_version: the version of the file format.
        run: the folder of the runs, a path or a URL.
        dataset: the path or URL of the dataset.
        model: the name of the model.
        mode: `scratch`, `transfer` or `finetune`.
        task: `classification`, `multi-label` or `regression`.
        folds: the result of each fold.
        mean: the mean of each metric over the folds; None if a fold has no value.
        standard_deviation: the sample standard deviation of each metric over the folds.
        out_of_fold: the metrics of the predictions in `out-of-fold.csv`.
        seconds: the duration of all runs.
    """

    format_version: int
    run: str
    dataset: str
    model: str
    mode: str
    task: TaskName
    folds: tuple[FoldResult, ...]
    mean: dict[str, float | None]
    standard_deviation: dict[str, float | None]
    out_of_fold: OutOfFold
    seconds: float

    def lines(self) -> list[str]:
        """Return a table of the folds, and the metrics of all images, as lines."""
        metrics = _METRICS[self.task]
        rows: list[tuple[str, ...]] = [
            ("fold", "training", "validation", *(it.title for it in metrics), "epoch"),
        ]
        for each in self.folds:
            images = (f"{each.training_images:,}", f"{each.validation_images:,}")
            texts = _format(self.task, each.metrics, each.validation_images)
            rows.append((str(each.fold), *images, *texts, str(each.weights_epoch)))
        for title, values in (("mean", self.mean), ("deviation", self.standard_deviation)):
            rows.append((title, "", "", *_format(self.task, values), ""))
        measured, images_of_all = self.out_of_fold.metrics, self.out_of_fold.images
        pairs = zip(metrics, _format(self.task, measured, images_of_all), strict=True)
        shown = ", ".join(f"{it.title} {text}" for it, text in pairs if it.name in measured)
        return [
            *align(rows, right=f" >>{' ' * len(metrics)}>"),
            f"out of fold: {shown} on {pluralize(images_of_all, 'image')}",
        ]

    def __repr__(self) -> str:
        return "\n".join(self.lines())


def metric_names(task: str) -> tuple[str, ...]:
    """Return the names of the metrics of `evaluate` that a cross-validation of a task has."""
    return tuple(metric.name for metric in _METRICS[task])


def accuracy_interval(metrics: dict[str, float | None], images: int) -> Interval | None:
    """Return the interval of an accuracy on a number of images; None if there is no accuracy."""
    accuracy = metrics.get(_ACCURACY)
    return None if accuracy is None else wilson_interval(round(accuracy * images), images)


def summarize(
    folds: Sequence[FoldResult], *, run: str, dataset: str, model: str, mode: str, task: TaskName
) -> CrossValidation:
    """Return the result of a cross-validation from those of its folds, at least two."""
    of_folds = {name: [each.metrics[name] for each in folds] for name in metric_names(task)}
    images = [each.validation_images for each in folds]
    pooled = {
        metric.name: _combine(statistics.fmean, of_folds[metric.name], images)
        for metric in _METRICS[task]
        if metric.is_mean
    }
    return CrossValidation(
        format_version=_FORMAT_VERSION,
        run=run,
        dataset=dataset,
        model=model,
        mode=mode,
        task=task,
        folds=tuple(folds),
        mean={name: _combine(statistics.fmean, values) for name, values in of_folds.items()},
        standard_deviation={
            name: _combine(statistics.stdev, values) for name, values in of_folds.items()
        },
        out_of_fold=OutOfFold(sum(images), pooled, accuracy_interval(pooled, sum(images))),
        seconds=round(sum(each.seconds for each in folds), 3),
    )


def encode_folds(result: CrossValidation) -> bytes:
    """Return the content of `folds.json`."""
    return encode_canonical(result)


def decode_folds(content: bytes, *, path: str) -> CrossValidation:
    """Return the result in `folds.json`. Raises CorruptDataError, with `path`."""
    what = "the result of a cross-validation"
    try:
        return decode_versioned(
            content, CrossValidation, version=_FORMAT_VERSION, what=what, path=path
        )
    except CorruptDataError as error:
        error.hint = error.hint or _HINT
        raise


def _combine(
    function: Callable[..., float], values: Sequence[float | None], *weights: Sequence[int]
) -> float | None:
    """Return the statistic of the values of all folds; None if one of them is None."""
    known = [value for value in values if value is not None]
    return None if len(known) < len(values) else function(known, *weights)


def _format(
    task: str, metrics: dict[str, float | None], images: int | None = None
) -> Iterator[str]:
    """Yield the text of each metric of a task; of an accuracy on images, with its interval."""
    for metric in _METRICS[task]:
        value = metrics.get(metric.name)
        if value is None:
            yield "–"
        elif metric.name == _ACCURACY and images is not None:
            yield format_accuracy(value, images)
        else:
            yield metric.text(value)
