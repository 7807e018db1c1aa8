"""PNG charts of a run: curves, confusion matrix, calibration, scatter plot, images."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from records.pictures.fonts import drawable, find_font
from records.text.formatting import pluralize
from trainers.options import NONE_OF_THESE
from trainers.plots.image_grid import Tile, draw_tiles, shorten
from trainers.plots.overlay import overlay_activation
from trainers.plots.style import new_figure, new_font, render_png

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from trainers.evaluation.label_metrics import MultiLabelEvaluation
    from trainers.evaluation.metrics import Evaluation
    from trainers.evaluation.mistakes import AnyMistake
    from trainers.evaluation.value_metrics import RegressionEvaluation
    from trainers.prediction.result import FilePrediction
    from trainers.runs.history import EpochMetrics

_NAME_CHARACTERS = 24
_MOST_ANNOTATED_CLASSES = 25
_MOST_NAMED_CLASSES = 170
_MOST_CLASSES_OF_MANY = 60
_MOST_UPRIGHT_CHARACTERS = 3
_MOST_LARGE_POINTS = 500
GRID_IMAGES = 100
"""The maximum number of images in a grid."""


@render_png
def plot_curves(
    epochs: Sequence[EpochMetrics], metrics: tuple[str, str] = ("accuracy", "loss")
) -> Figure:
    """Draw a metric between 0 and 1, and the loss, of training and validation by epoch.

    Args:
        epochs: the results of one or more epochs.
        metrics: the names of the two metrics; either may lack a value of training.
    """
    figure = new_figure(9, 3.6)
    numbers = [result.epoch for result in epochs]
    marker = "o" if len(epochs) <= 30 else ""
    columns = [result.to_columns() for result in epochs]
    for axes, name in zip(figure.subplots(1, 2), metrics, strict=True):
        for prefix, label in (("", "training"), ("val_", "validation")):
            values = [result[prefix + name] for result in columns if prefix + name in result]
            if values:
                color = "C0" if label == "training" else "C1"
                axes.plot(numbers, values, marker=marker, markersize=4, label=label, color=color)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    first, loss = figure.axes
    first.set_ylim(-0.02, 1.02)
    highest = max(max(result.loss, result.val_loss) for result in epochs)
    loss.set_ylim(0, 1.05 * highest if highest > 0 else 1)
    if len(first.lines) == len(loss.lines):
        first.legend(loc="lower right")
    else:
        loss.legend(loc="upper right")
    return figure


@render_png
def plot_runs(
    runs: Sequence[tuple[str, Sequence[EpochMetrics]]],
    metrics: tuple[str, str] = ("accuracy", "loss"),
) -> Figure:
    """Draw a validation metric and the validation loss of several runs by epoch.

    Args:
        runs: the name of each run, and the results of its epochs.
        metrics: the names of the two metrics.
    """
    font = find_font([name for name, _ in runs])
    figure = new_figure(9, 3.6 + 0.22 * len(runs))
    colors = _line_colors(len(runs))
    for axes, metric in zip(figure.subplots(1, 2), metrics, strict=True):
        for (name, epochs), color in zip(runs, colors, strict=True):
            column = f"val_{metric}"
            points = [
                (each.epoch, each.to_columns()[column])
                for each in epochs
                if column in each.to_columns()
            ]
            axes.plot(
                *zip(*points, strict=True),
                marker="o" if len(points) <= 30 else "",
                markersize=4,
                color=color,
                label=_short(name, font),
            )
        axes.set_title(f"validation {metric.replace('_', ' ')}")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    legend = figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, 0)
    )
    for text in legend.get_texts():
        text.set_fontproperties(new_font(font, 9))
    figure.tight_layout()
    return figure


def _line_colors(lines: int) -> list[Any]:
    """Return a color for each line: the ten of matplotlib, or as many of a color map."""
    from matplotlib import colormaps

    if lines <= 10:
        return [f"C{number}" for number in range(lines)]
    return [colormaps["turbo"]((number + 0.5) / lines) for number in range(lines)]


@render_png
def plot_confusion(evaluation: Evaluation, labels: Sequence[str]) -> Figure:
    """Draw the confusion matrix; colors show fractions of the images of the true class.

    With more than 1,000 classes, draw the classes with the most mistakes.
    """
    from matplotlib.colors import PowerNorm

    matrix = _confusion_matrix(evaluation)
    classes = len(matrix.labels)
    cell_inches = 0.55 if classes <= 12 else 0.42 if classes <= _MOST_ANNOTATED_CLASSES else 0.14
    side = max(2.5, min(classes * cell_inches, 24))
    figure = new_figure(side + 2.6, side + 2)
    axes = figure.subplots()
    parts = matrix.counts / np.maximum(matrix.images[:, None], 1)
    # The color scale is a square root, so that rare confusions are visible next to the diagonal.
    image = axes.imshow(parts, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    title = (
        f"{evaluation.split}: accuracy {evaluation.accuracy:.1%} of "
        f"{pluralize(evaluation.images, 'image')}"
    )
    if classes < len(labels):
        title += f"\n{classes} of {pluralize(len(labels), 'class')}: those with the most mistakes"
    axes.set_title(title)
    _name_classes(axes, [labels[label] for label in matrix.labels])
    if classes <= _MOST_ANNOTATED_CLASSES:
        _write_counts(axes, matrix.counts, parts)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, fraction=0.04, aspect=25)
    bar.set_label("fraction of the true class")
    return figure


class _Confusion(NamedTuple):
    """Labels (N,), image counts by true and predicted class (N, N), images of each class (N,)."""

    labels: list[int]
    counts: NDArray[np.int64]
    images: NDArray[np.int64]


def _confusion_matrix(evaluation: Evaluation) -> _Confusion:
    if evaluation.confusion is not None:
        counts = np.array(evaluation.confusion)
        return _Confusion(list(range(len(counts))), counts, counts.sum(axis=1))
    mistakes: Counter[int] = Counter()
    images: Counter[int] = Counter()
    for true, predicted, number in evaluation.confusion_cells or ():
        images[true] += number
        for label in (true, predicted):
            mistakes[label] += number if true != predicted else 0
    most = sorted(mistakes, key=lambda label: (-mistakes[label], label))
    shown = sorted(most[:_MOST_CLASSES_OF_MANY])
    places = {label: place for place, label in enumerate(shown)}
    counts = np.zeros((len(shown), len(shown)), np.int64)
    for true, predicted, number in evaluation.confusion_cells or ():
        if true in places and predicted in places:
            counts[places[true], places[predicted]] = number
    return _Confusion(shown, counts, np.array([images[label] for label in shown]))


def _name_classes(axes: Any, labels: Sequence[str]) -> None:
    # With hundreds of classes, every second or third name is enough for orientation.
    step = -(-len(labels) // _MOST_NAMED_CLASSES)
    places = range(0, len(labels), step)
    font = find_font(labels)
    names = [_short(labels[place], font) for place in places]
    size = 9 if len(labels) <= _MOST_ANNOTATED_CLASSES else 7
    rotation = 90 if max(map(len, names)) > _MOST_UPRIGHT_CHARACTERS else 0
    axes.set_xticks(places, names, rotation=rotation)
    axes.set_yticks(places, names)
    for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick.set_fontproperties(new_font(font, size))


def _write_counts(axes: Any, counts: Any, parts: Any) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if parts[row, column] > 0.3 else "black"
            axes.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=8)


@render_png
def plot_calibration(evaluation: Evaluation) -> Figure:
    """Draw the reliability diagram: accuracy and number of images by confidence."""
    bins = [each for each in evaluation.calibration.bins if each.images]
    figure = new_figure(4.6, 5.2)
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot((0, 1), (0, 1), color="gray", linestyle="--", linewidth=1, label="perfect")
    edges = [each.low for each in bins]
    width = evaluation.calibration.bins[0].high
    shared: Any = {"width": width, "align": "edge", "edgecolor": "white"}
    axes.bar(edges, [each.accuracy for each in bins], label="accuracy", **shared)
    confidence = [each.confidence for each in bins]
    axes.plot(
        confidence, [each.accuracy for each in bins], "o",
        color="black", markersize=3, label="at its mean confidence",
    )  # fmt: skip
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="upper left", frameon=False)
    axes.set_title(
        f"{evaluation.split}: expected calibration error "
        f"{evaluation.calibration.expected_error:.1%}"
    )
    counts.bar(edges, [each.images for each in bins], color="gray", **shared)
    counts.set_ylabel("images")
    counts.set_xlabel("confidence: the score of the predicted class")
    counts.set_xlim(0, 1)
    return figure


@render_png
def plot_average_precision(evaluation: MultiLabelEvaluation) -> Figure:
    """Draw the average precision and F1 of each class; of many classes, the lowest."""
    found = [each for each in evaluation.per_class if each.images]
    lowest = sorted(found, key=lambda each: each.average_precision or 0.0)
    shown = lowest[:_MOST_CLASSES_OF_MANY]
    figure = new_figure(6, 1.6 + 0.24 * max(len(shown), 4))
    axes = figure.subplots()
    places = np.arange(len(shown))
    axes.barh(places - 0.2, [each.average_precision or 0 for each in shown], 0.38, label="AP")
    axes.barh(places + 0.2, [each.f1 or 0 for each in shown], 0.38, label="F1 at the threshold")
    font = find_font([each.name for each in shown])
    axes.set_yticks(places, [_short(each.name, font) for each in shown])
    for tick in axes.get_yticklabels():
        tick.set_fontproperties(new_font(font, 9))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.grid(axis="x", alpha=0.3)
    mean = evaluation.mean_average_precision
    title = f"{evaluation.split}: mean average precision {'–' if mean is None else f'{mean:.1%}'}"
    if len(shown) < len(found):
        title += f"\n{len(shown)} of {pluralize(len(found), 'class')}: those with the lowest"
    axes.set_title(title)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.25 / figure.get_figheight() * 2), ncols=2
    )
    return figure


@render_png
def plot_scatter(evaluation: RegressionEvaluation) -> Figure:
    """Draw the predicted value of each image by its true value; of many images, of some."""
    true, predicted = np.array(evaluation.points).T
    figure = new_figure(5.2, 5.4)
    axes = figure.subplots()
    least, greatest = (edge(evaluation.points) for edge in (np.min, np.max))
    margin = 0.03 * (greatest - least) or 1.0
    limits = float(least - margin), float(greatest + margin)
    axes.plot(limits, limits, color="gray", linestyle="--", linewidth=1, label="perfect")
    size, opacity = (12, 0.6) if len(true) <= _MOST_LARGE_POINTS else (6, 0.35)
    axes.scatter(true, predicted, s=size, alpha=opacity, linewidths=0)
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", frameon=False)
    font = find_font([evaluation.target])
    name = _short(evaluation.target, font)
    for set_label, kind in ((axes.set_xlabel, "true"), (axes.set_ylabel, "predicted")):
        set_label(f"{kind} {name}", fontproperties=new_font(font, 10))
    title = (
        f"{evaluation.split}: R² {'–' if evaluation.r2 is None else f'{evaluation.r2:.3f}'}, "
        f"mean absolute error {evaluation.mean_absolute_error:.4g}"
    )
    if len(true) < evaluation.images:
        title += f"\n{len(true):,} of {pluralize(evaluation.images, 'image')}"
    axes.set_title(title)
    return figure


@render_png
def plot_mistakes(
    evaluation: Evaluation | MultiLabelEvaluation | RegressionEvaluation,
    images: Iterable[NDArray[np.uint8]],
) -> Figure:
    """Draw the images of the mistakes, each with prediction, truth, record and key."""
    mistakes: Sequence[AnyMistake] = evaluation.mistakes
    tiles = [
        Tile(
            pixels,
            mistake.title(),
            (f"{mistake.shard.removesuffix('.tfrecord')} #{mistake.record}", mistake.key),
        )
        for mistake, pixels in zip(mistakes, images, strict=True)
    ]
    return draw_tiles(tiles)


@render_png
def plot_predictions(predictions: Sequence[FilePrediction]) -> Figure:
    """Draw the first `GRID_IMAGES` images, each below its predicted classes or its value."""
    tiles = []
    for prediction in predictions[:GRID_IMAGES]:
        name = os.fspath(prediction.path).rpartition("/")[2]
        assert prediction.pixels is not None
        pixels = prediction.pixels
        if prediction.activation is not None:
            pixels = overlay_activation(pixels, prediction.activation)
        tiles.append(Tile(pixels, _title(prediction), (name,)))
    return draw_tiles(tiles)


def _title(prediction: FilePrediction) -> tuple[str, str]:
    """Return the two lines above an image: classes, scores and truth, or a value."""
    if prediction.value is not None:
        return f"{prediction.value:.4g}", ""
    scores = ", ".join(f"{score:.0%}" for score in prediction.scores)
    truth = f", is {prediction.truth}" if prediction.is_wrong else ""
    if prediction.none_of_these:
        return NONE_OF_THESE, f"best {prediction.score:.0%}{truth}"
    return ", ".join(prediction.names) or "–", f"{scores or '–'}{truth}"


def _short(name: str, font: str) -> str:
    return shorten(drawable(name, font), _NAME_CHARACTERS)
