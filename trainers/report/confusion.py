"""Confusions of a run, with their images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from records.report.parts import Cell, Column, Matrix, Part, Table, quote_name, show_name
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from records.report.images import ImageSet
    from trainers.report.measure import Predictions

_MAX_CLASSES = 30
"""The maximum number of classes in a matrix."""
CONFUSED_PAIRS = "Confused pairs of classes"
"""The title of the table of the pairs."""
_MAX_PAIRS = 500
_IMAGES_PER_CELL = 24
_PICTURES_PER_CELL = 12
_EXAMPLES = 4
_MAX_PICTURES = 240
_MAX_IMAGES = 3000


def confusion_parts(found: Predictions, labels: Sequence[str], images: ImageSet) -> Iterator[Part]:
    """Yield the matrix, and the pairs of classes that are confused, the most frequent first.

    If there are too many classes for a matrix, it has those with the most mistakes.

    Args:
        found: the predictions.
        labels: the class names, by label.
        images: the images of the page; some of each cell are added.
    """
    counts = _count_cells(found, len(labels))
    examples = _add_examples(found, counts, images)
    totals = np.bincount(found.labels, minlength=len(labels))
    yield _matrix(counts, examples, totals, labels)
    columns = (
        Column("the highest scores", "images"),
        Column("true class"),
        Column("predicted class"),
        Column("images", "count", has_bars=True),
        Column("share of the true class", "percent"),
    )
    wrong = [(cell, count) for cell, count in counts.items() if cell[0] != cell[1]]
    rows: list[tuple[Cell, ...]] = [
        (
            examples.get((true, predicted), ())[:_EXAMPLES],
            show_name(labels[true]),
            show_name(labels[predicted]),
            count,
            count / int(totals[true]),
        )
        for (true, predicted), count in wrong[:_MAX_PAIRS]
    ]
    yield Table(CONFUSED_PAIRS, columns, rows, total=len(wrong), thing="pair")


_Pair = tuple[int, int]


def most_confused(found: Predictions, labels: Sequence[str]) -> str:
    """Return the two classes that are confused most, in both directions together.

    The more frequent direction is first. Without mistakes, the text is empty.

    Args:
        found: the predictions.
        labels: the class names, by label.
    """
    counted = _count_cells(found, len(labels)).items()
    counts = {cell: count for cell, count in counted if cell[0] != cell[1]}
    both: Counter[_Pair] = Counter()
    for (true, predicted), count in counts.items():
        both[min(true, predicted), max(true, predicted)] += count
    directions = [
        (counts[cell], cell)
        for (one, other), _ in both.most_common(1)
        for cell in ((one, other), (other, one))
        if cell in counts
    ]
    directions.sort(key=lambda each: -each[0])
    return ", ".join(
        f"{quote_name(labels[true])} predicted as {quote_name(labels[predicted])}:"
        f" {pluralize(count, 'time')}"
        for count, (true, predicted) in directions
    )


def _count_cells(found: Predictions, classes: int) -> dict[_Pair, int]:
    """Return the cells that are not 0, by true and predicted label, the most frequent first."""
    cells, counts = np.unique(found.labels * classes + found.predicted, return_counts=True)
    order = np.lexsort((cells, -counts))
    return {
        divmod(cell, classes): count
        for cell, count in zip(cells[order].tolist(), counts[order].tolist(), strict=True)
    }


def _add_examples(
    found: Predictions, counts: Mapping[_Pair, int], images: ImageSet
) -> dict[_Pair, tuple[int, ...]]:
    """Return images of each cell, the cells with mistakes first."""
    chosen = _choose(found)
    ranked = sorted(counts, key=lambda cell: cell[0] == cell[1])
    places = [place for cell in ranked for place in chosen[cell]][:_MAX_IMAGES]
    rows = dict(zip(places, images.find_rows([found.keys[place] for place in places]), strict=True))
    examples: dict[_Pair, tuple[int, ...]] = {}
    pictures = _MAX_PICTURES
    for cell in ranked:
        known = [row for place in chosen[cell] if (row := rows.get(place)) is not None]
        shown = min(pictures, _PICTURES_PER_CELL, len(known))
        pictures -= shown
        examples[cell] = images.add(known, pictures=shown)
    return examples


def _choose(found: Predictions) -> dict[_Pair, list[int]]:
    """Return images of each cell: of wrong predictions, those with the highest scores.

    Of right predictions, those with the lowest scores.
    """
    rising = np.where(found.is_right, found.scores, -found.scores)
    order = np.lexsort((rising, found.predicted, found.labels))
    pairs = np.stack([found.labels[order], found.predicted[order]], axis=1)
    cells, starts = np.unique(pairs, axis=0, return_index=True)
    parts = np.split(order, starts[1:])
    return {
        (true, predicted): part[:_IMAGES_PER_CELL].tolist()
        for (true, predicted), part in zip(cells.tolist(), parts, strict=True)
    }


def _matrix(
    counts: Mapping[_Pair, int],
    examples: Mapping[_Pair, tuple[int, ...]],
    totals: NDArray[np.int64],
    labels: Sequence[str],
) -> Matrix:
    mistakes = np.zeros(len(labels), np.int64)
    for (true, predicted), count in counts.items():
        if true != predicted:
            mistakes[[true, predicted]] += count
    worst = np.argsort(-mistakes, kind="stable")[:_MAX_CLASSES]
    shown: list[int] = np.sort(worst).tolist()
    places = {label: place for place, label in enumerate(shown)}
    cells = [[counts.get((true, predicted), 0) for predicted in shown] for true in shown]
    title = "Confusion matrix"
    if len(shown) < len(labels):
        title += (
            f": {len(shown)} of {pluralize(len(labels), 'class')}, those with the most mistakes"
        )
    return Matrix(
        title,
        [show_name(labels[label]) for label in shown],
        cells,
        totals[shown].tolist(),
        {
            f"{places[true]},{places[predicted]}": numbers
            for (true, predicted), numbers in examples.items()
            if true in places and predicted in places
        },
    )
