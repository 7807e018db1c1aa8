"""The model of a run, and its outputs for batches of images."""

from __future__ import annotations

from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.augment.test_time import views_of
from trainers.class_means.file import read_class_means
from trainers.out_of_memory import translate_out_of_memory
from trainers.prediction.result import ImageOutputs
from trainers.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainers.explanation import ClassActivation
    from trainers.options import RejectBelow
    from trainers.prediction.result import Pixels
    from trainers.runs.run_dir import Run


class LoadedModel:
    """The model of a run, loaded once. The backend must be started.

    Several threads can call the methods at the same time.

    Args:
        run: the run.
        reject_below: as for `Predictor`, checked.
        views: the number of views of each image.

    Raises:
        CorruptDataError: the weights or the class means are damaged.
    """

    def __init__(self, run: Run, reject_below: RejectBelow | None, views: int) -> None:
        from trainers.models.load import load_network

        self._task, self._views = task_of(run.config), views
        self._network, self._reject_below = load_network(run), reject_below
        by_features = reject_below == "auto"
        self._class_means = read_class_means(run, self._network) if by_features else None
        # Keras builds the predict function in the first call, which is not thread-safe.
        self._lock = Lock()

    def outputs(self, images: Sequence[Pixels]) -> list[ImageOutputs]:
        """Return the outputs for one batch of images, each uint8 (height, width, channels)."""
        with self._lock, translate_out_of_memory():
            views = views_of(np.stack(images), self._views)
            computed = [self._compute(view) for view in views]
        scores = np.mean([self._task.outputs(logits) for logits, _ in computed], axis=0)
        _, features = computed[0]  # of the images themselves
        return [*map(ImageOutputs, scores, self._find_none(scores, features))]

    def _compute(self, images: Pixels) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return the logits of a batch, and its penultimate features if they are needed."""
        if self._class_means is None:
            return np.asarray(self._network.model.predict_on_batch(images)), None
        assert self._network.featured is not None  # the class means fit it
        logits, features = self._network.featured.predict_on_batch(images)
        return np.asarray(logits), np.asarray(features)

    def _find_none(
        self, scores: NDArray[np.float64], features: NDArray[Any] | None
    ) -> list[bool | None]:
        """Return for each image of a batch whether it shows none of the classes."""
        if self._class_means is not None and features is not None:
            return [*map(bool, self._class_means.rejects(features, scores.argmax(axis=1)))]
        if self._reject_below is None or self._reject_below == "auto":
            return [None] * len(scores)
        return [*map(bool, scores.max(axis=1) < self._reject_below)]

    @cached_property
    def explainer(self) -> ClassActivation:
        """The class activation maps of the model. Raises UsageError if it has none."""
        from trainers.explanation import ClassActivation

        return ClassActivation(self._network.model)

    def activations(
        self, images: Sequence[Pixels], outputs: Sequence[ImageOutputs]
    ) -> NDArray[np.float32]:
        """Return the class activation maps of the best classes, (images, height, width)."""
        best = np.array([each.scores.argmax() for each in outputs])
        with self._lock:
            return self.explainer.maps(np.stack(images), best)
