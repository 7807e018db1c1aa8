"""Worst mistakes of a run, with class activation maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from records.errors import UsageError
from records.report.parts import Cell, Column, Note, Part, Table, show_name
from trainers.evaluation.explained import explain_mistakes
from trainers.evaluation.mistakes import AnyMistake, LabelMistake, Mistake, ValueMistake
from trainers.evaluation.pictures import decode_mistakes
from trainers.plots.overlay import overlay_activation

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from records.report.images import ImageSet
    from trainers.evaluation.evaluate import EvaluationPlan

PICTURED_MISTAKES = 40
"""The number of mistakes that have a picture and, with an explanation, a class activation map."""


class Explanation(NamedTuple):
    """Class activation maps of the first mistakes, or the reason why there are none.

    Attributes:
        maps: a map for each of the first mistakes, float32 (height, width), 0 to 1.
        problem: the reason; empty if there are maps.
    """

    maps: Sequence[NDArray[np.float32]]
    problem: str = ""


def explain(plan: EvaluationPlan, mistakes: Sequence[AnyMistake]) -> Explanation:
    """Compute the class activation maps of the first mistakes; the backend is started.

    Args:
        plan: the evaluation that found the mistakes.
        mistakes: the mistakes, the worst first.

    Raises:
        CorruptDataError: the weights, or the record of a mistake, are damaged.
    """
    shown = mistakes[:PICTURED_MISTAKES]
    if not shown:
        return Explanation(())
    try:
        return Explanation([*explain_mistakes(plan.run, shown, decode_mistakes(plan, shown))])
    except UsageError as error:
        return Explanation((), error.what)


def mistake_parts(
    mistakes: Sequence[AnyMistake],
    explanation: Explanation,
    images: ImageSet,
    *,
    name: str,
    total: int = 0,
) -> Iterator[Part]:
    """Yield the table of the worst mistakes.

    Args:
        mistakes: the mistakes, the worst first.
        explanation: their class activation maps; without maps and without a problem, none were
            requested.
        images: the images of the page; those of the mistakes are added.
        name: the name of the run in the page.
        total: the number of all mistakes, if it is known; otherwise 0.
    """
    if not mistakes:
        yield Note("The run made no mistake.")
        return
    if explanation.problem:
        yield Note(f"The mistakes have no class activation maps: {explanation.problem}.")
    overlays = [f"{name} {_explained(mistake)}" for mistake in mistakes]
    rows: list[tuple[Cell, ...]] = []
    for place, (mistake, row) in enumerate(
        zip(mistakes, images.find_rows([each.key for each in mistakes]), strict=True)
    ):
        numbers: tuple[int, ...] = ()
        if row is not None:
            numbers = images.add([row], pictures=1 if place < PICTURED_MISTAKES else 0)
            for activation in explanation.maps[place : place + 1]:
                draw = partial(draw_overlay, activation)
                images.add_overlay(row, overlays[place], _explained(mistake), draw)
        rows.append((numbers, *_describe(mistake)))
    columns = (Column("image", "images"), *_COLUMNS[type(mistakes[0])])
    shown = overlays if explanation.maps else ()
    yield Table("Worst mistakes", columns, rows, overlays=shown, total=total, thing="mistake")


def draw_overlay(activation: NDArray[np.float32], image: Image.Image) -> Image.Image:
    """Return an image (RGB) as grey, with the places of high activation in color."""
    from PIL import Image

    resized = Image.fromarray(activation).resize(image.size, Image.Resampling.BILINEAR)
    return Image.fromarray(overlay_activation(np.asarray(image), np.asarray(resized)))


def _explained(mistake: AnyMistake) -> str:
    """Return the content of the class activation map of a mistake."""
    if isinstance(mistake, Mistake):
        return f"places that support {show_name(mistake.predicted)}"
    if isinstance(mistake, LabelMistake):
        return f"places that support {show_name(mistake.class_name)}"
    return "places that raise the predicted value"


_COLUMNS: dict[type[msgspec.Struct], tuple[Column, ...]] = {
    Mistake: (
        Column("true class", has_choices=True),
        Column("predicted class", has_choices=True),
        Column("score", "percent"),
    ),
    LabelMistake: (
        Column("class of the mistake", has_choices=True),
        Column("mistake", has_choices=True),
        Column("score", "percent"),
    ),
    ValueMistake: (
        Column("true value", "number"),
        Column("predicted value", "number"),
        Column("error", "number"),
    ),
}


def _describe(mistake: AnyMistake) -> tuple[Cell, ...]:
    if isinstance(mistake, Mistake):
        return show_name(mistake.class_name), show_name(mistake.predicted), mistake.score
    if isinstance(mistake, LabelMistake):
        kind = "predicted, but not a label" if mistake.predicted else "a label, but not predicted"
        return show_name(mistake.class_name), kind, mistake.score
    return mistake.value, mistake.predicted, mistake.error
