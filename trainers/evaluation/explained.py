"""Class activation maps of the worst mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainers.evaluation.mistakes import LabelMistake, Mistake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainers.evaluation.mistakes import AnyMistake
    from trainers.runs.run_dir import Run

_BATCH = 8
"""The number of images in a batch: a wide convolutional map needs much memory."""


def explain_mistakes(
    run: Run, mistakes: Sequence[AnyMistake], pixels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return how much each place of an image supports the output that is wrong.

    Args:
        run: the run that made the mistakes; its backend is started.
        mistakes: the mistakes, at least one.
        pixels: their images at the input size of the model, uint8 (mistakes, *shape).

    Returns:
        float32 (mistakes, height, width), 0 to 1; see `ClassActivation.maps`.

    Raises:
        UsageError: the model has no convolutional map, or the backend has no gradients for it.
        CorruptDataError: the weights are damaged.
    """
    from trainers.explanation import ClassActivation
    from trainers.models.load import load_model

    explainer = ClassActivation(load_model(run))
    outputs = np.array([_find_output(run, mistake) for mistake in mistakes])
    return np.concatenate(
        [
            explainer.maps(pixels[first : first + _BATCH], outputs[first : first + _BATCH])
            for first in range(0, len(outputs), _BATCH)
        ]
    )


def _find_output(run: Run, mistake: AnyMistake) -> int:
    """Return the number of the output that a mistake is about."""
    if isinstance(mistake, Mistake):
        return run.labels.index(mistake.predicted)
    if isinstance(mistake, LabelMistake):
        return run.labels.index(mistake.class_name)
    return 0
