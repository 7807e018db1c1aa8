"""The pictures of a run, each as the bytes of a PNG file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from records.reports.fonts import drawable, find_font
from trainers.figures import draws_png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.history import EpochResult
    from trainers.metrics import Evaluation
    from trainers.predict import Prediction

_NAME_CHARACTERS = 24
_MOST_ANNOTATED_CLASSES = 25
_MOST_NAMED_CLASSES = 170
_MOST_UPRIGHT_CHARACTERS = 3
GRID_IMAGES = 100
"""The most images that a grid shows."""


@draws_png
def plot_curves(epochs: Sequence[EpochResult]) -> Figure:
    """Accuracy and loss by epoch, training and validation."""
    figure = Figure(figsize=(9, 3.6))
    numbers = [result.epoch for result in epochs]
    marker = "o" if len(epochs) <= 30 else ""
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        for prefix, label in (("", "training"), ("val_", "validation")):
            values = [getattr(result, prefix + name) for result in epochs]
            axes.plot(numbers, values, marker=marker, markersize=4, label=label)
        axes.set_title(name)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    accuracy, loss = figure.axes
    accuracy.set_ylim(-0.02, 1.02)
    highest = max(max(result.loss, result.val_loss) for result in epochs)
    loss.set_ylim(0, 1.05 * highest if highest > 0 else 1)
    accuracy.legend(loc="lower right")
    return figure


@draws_png
def plot_confusion(evaluation: Evaluation, labels: Sequence[str]) -> Figure:
    """The confusion matrix; a cell's colour is its part of the true class's images."""
    counts = np.array(evaluation.confusion)
    classes = len(labels)
    cell_inches = 0.55 if classes <= 12 else 0.42 if classes <= _MOST_ANNOTATED_CLASSES else 0.14
    side = max(2.5, min(classes * cell_inches, 24))
    figure = Figure(figsize=(side + 2.6, side + 2))
    axes = figure.subplots()
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The root, for what is confused now and then must be seen beside what is mostly right.
    image = axes.imshow(parts, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(
        f"{evaluation.split}: accuracy {evaluation.accuracy:.1%} of {evaluation.images:,} images"
    )
    _name_classes(axes, labels)
    if classes <= _MOST_ANNOTATED_CLASSES:
        _write_counts(axes, counts, parts)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, fraction=0.04, aspect=25)
    bar.set_label("part of the true class")
    return figure


def _name_classes(axes: Any, labels: Sequence[str]) -> None:
    # With some hundred classes every second or third name still tells where one is.
    step = -(-len(labels) // _MOST_NAMED_CLASSES)
    places = range(0, len(labels), step)
    font = find_font(labels)
    names = [_short(labels[place], font) for place in places]
    size = 9 if len(labels) <= _MOST_ANNOTATED_CLASSES else 7
    rotation = 90 if max(map(len, names)) > _MOST_UPRIGHT_CHARACTERS else 0
    axes.set_xticks(places, names, rotation=rotation)
    axes.set_yticks(places, names)
    for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick.set_fontproperties(FontProperties(fname=font, size=size))


def _write_counts(axes: Any, counts: Any, parts: Any) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if parts[row, column] > 0.3 else "black"
            axes.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=8)


@draws_png
def plot_predictions(predictions: Sequence[Prediction], labels: Sequence[str]) -> Figure:
    """The first 100 images as the model saw them, each under its best class and score."""
    shown = predictions[:GRID_IMAGES]
    columns = min(len(shown), max(4, round(len(shown) ** 0.5)))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(1.7 * columns, 2.2 * rows))
    # Set by hand: a layout engine takes eight seconds over a hundred axes.
    figure.subplots_adjust(0.01, 0.15 / rows, 0.99, 1 - 0.2 / rows, wspace=0.06, hspace=0.38)
    font = find_font([*labels, *(prediction.path.name for prediction in shown)])
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if place < len(shown):
            _show_prediction(axes, shown[place], labels, font)
    return figure


def _show_prediction(axes: Any, prediction: Prediction, labels: Sequence[str], font: str) -> None:
    label, score = prediction.scores[0]
    axes.imshow(prediction.pixels.squeeze(), cmap="gray", vmin=0, vmax=255)
    title = f"{_short(labels[label], font)}\n{score:.0%}"
    axes.set_title(title, fontproperties=FontProperties(fname=font, size=8))
    axes.text(
        0.5, -0.04, _short(prediction.path.name, font), transform=axes.transAxes,
        ha="center", va="top", color="gray", fontproperties=FontProperties(fname=font, size=6),
    )  # fmt: skip


def _short(name: str, font: str) -> str:
    text = drawable(name, font)
    return text if len(text) <= _NAME_CHARACTERS else text[: _NAME_CHARACTERS - 1] + "…"
