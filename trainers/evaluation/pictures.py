"""Pictures of an evaluation, in the run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.evaluation.explained import explain_mistakes
from trainers.evaluation.mistakes import read_mistakes
from trainers.evaluation.scoring import draw_metrics
from trainers.plots.charts import plot_mistakes
from trainers.plots.overlay import overlay_activation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainers.evaluation.evaluate import EvaluationPlan
    from trainers.evaluation.mistakes import AnyMistake
    from trainers.evaluation.scoring import AnyEvaluation

_PICTURES = {
    "confusion": "confusion matrix",
    "calibration": "reliability diagram",
    "average-precision": "average precision of each class",
    "scatter": "predicted and true values",
    "mistakes": "worst mistakes",
    "explained": "worst mistakes, with the places that support them",
}


def draw_pictures(
    plan: EvaluationPlan, evaluation: AnyEvaluation, *, explain: bool = False
) -> Iterator[str]:
    """Draw the metrics, and the worst mistakes if there are any, to `KIND-SPLIT.png`.

    Args:
        plan: the plan of the evaluation.
        evaluation: its result.
        explain: whether to draw the worst mistakes also with their class activation maps.

    Yields:
        The kind and the path of each picture, as one line.

    Raises:
        OutputError: the run folder cannot be written.
        CorruptDataError: the record of a mistake is damaged.
        UsageError: matplotlib is not installed, or the model has no convolutional map.
    """
    for kind, drawn in draw_metrics(evaluation, plan.run.labels):
        yield _draw(plan, evaluation, kind, drawn)
    if evaluation.mistakes:
        pixels = decode_mistakes(plan, evaluation.mistakes)
        yield _draw(plan, evaluation, "mistakes", plot_mistakes(evaluation, pixels))
        if explain:
            maps = explain_mistakes(plan.run, evaluation.mistakes, pixels)
            explained = map(overlay_activation, pixels, maps)
            yield _draw(plan, evaluation, "explained", plot_mistakes(evaluation, explained))


def _draw(plan: EvaluationPlan, evaluation: AnyEvaluation, kind: str, picture: bytes) -> str:
    name = f"{kind}-{evaluation.split}.png"
    plan.run.write_unrecorded(name, picture)
    return f"{_PICTURES[kind]}: {plan.run.describe(name)}"


def decode_mistakes(plan: EvaluationPlan, mistakes: Sequence[AnyMistake]) -> NDArray[np.uint8]:
    """Return the decoded images of mistakes, uint8 (mistakes, *shape)."""
    import tensorflow as tf

    from trainers.input.decode import decode_images

    records = read_mistakes(plan.dataset, plan.selection, mistakes)
    encoded = tf.constant([record.image for record in records])
    options = plan.dataset.manifest.settings.images
    config = plan.run.config
    pixels: NDArray[np.uint8] = decode_images(
        encoded, options, config.shape, config.decoder
    ).numpy()
    return pixels
