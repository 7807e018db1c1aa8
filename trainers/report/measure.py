"""Evaluation of a run, with the prediction for each image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from records.text.keys import key_to_text
from trainers.evaluation.calibration import count_label_bins, empty_bins, summarize_bins
from trainers.evaluation.evaluate import evaluate_plan, plan_evaluation
from trainers.evaluation.metrics import Evaluation
from trainers.models import require_model
from trainers.report.mistakes import Explanation, explain
from trainers.runs.run_dir import open_run
from trainers.tasks import task_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from records.dataset import Dataset
    from trainers.evaluation.calibration import Calibration
    from trainers.evaluation.scoring import AnyEvaluation
    from trainers.runs.run_dir import Run
    from trainers.tasks import Task

MISTAKES = 60
"""The number of worst mistakes that a report lists."""
_BINS = 50


class Predictions(NamedTuple):
    """The prediction for each image of a run that predicts one class.

    Attributes:
        keys: the keys of the images as text, N.
        labels: the true labels, int64 (N,).
        predicted: the predicted labels, int64 (N,).
        scores: the scores of the predicted labels, float32 (N,).
    """

    keys: list[str]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    scores: NDArray[np.float32]

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether each prediction is right, bool (N,)."""
        is_right: NDArray[np.bool_] = self.labels == self.predicted
        return is_right


class ThresholdCurve(NamedTuple):
    """What changes with the lowest score at which a prediction counts.

    Attributes:
        thresholds: the thresholds, from 0 to 1, (T,).
        series: values from 0 to 1 by name, (T,) each; None if nothing counts at a threshold.
    """

    thresholds: list[float]
    series: dict[str, list[float | None]]


class MeasuredRun(NamedTuple):
    """A run, and its evaluation on a split.

    Attributes:
        run: the run.
        evaluation: the result of the evaluation.
        predictions: the prediction for each image; None if the run does not predict one class.
        curve: the threshold curve; None if the run predicts a number.
        calibration: the calibration of the scores; None if the run predicts a number.
        explanation: the class activation maps of the worst mistakes, if they are requested.
    """

    run: Run
    evaluation: AnyEvaluation
    predictions: Predictions | None
    curve: ThresholdCurve | None
    calibration: Calibration | None
    explanation: Explanation


def measure_run(
    location: str | os.PathLike[str],
    dataset: Dataset,
    split: str | None = None,
    *,
    explain_mistakes: bool = False,
    on_message: Callable[[str], None] | None = None,
) -> MeasuredRun:
    """Evaluate a run on a split of a dataset.

    The memory use is about 100 bytes for each image of the split.

    Args:
        location: the path or URL of the run.
        dataset: an open dataset.
        split: the name of the split; None as for `trainers.evaluation.evaluate`.
        explain_mistakes: whether to compute the class activation maps of the worst mistakes, if the
            model has a convolutional map.
        on_message: called with each line that the command line would print.

    Raises as `evaluate`.
    """
    run = open_run(location)
    require_model(run, None)
    plan = plan_evaluation(run, dataset, split)
    collector = _COLLECTORS[run.config.task](task_of(run.config))
    evaluation = evaluate_plan(
        plan, mistakes=MISTAKES, on_message=on_message, on_batch=collector.add
    )
    mistakes = evaluation.mistakes if explain_mistakes else ()
    calibration = (
        evaluation.calibration if isinstance(evaluation, Evaluation) else collector.calibration()
    )
    return MeasuredRun(
        run,
        evaluation,
        collector.predictions(),
        collector.curve(),
        calibration,
        explain(plan, mistakes),
    )


class Collector:
    """Keeps nothing: a run that predicts a number has neither predictions nor a curve."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """Add a batch: logits (images, outputs), the labels of the task, and keys (images,)."""

    def predictions(self) -> Predictions | None:
        """Return the prediction for each image."""
        return None

    def curve(self) -> ThresholdCurve | None:
        """Return the threshold curve."""
        return None

    def calibration(self) -> Calibration | None:
        """Return the calibration, if the evaluation does not have it."""
        return None


class ClassCollector(Collector):
    """Keeps the predicted class and its score for each image."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._keys: list[str] = []
        self._batches: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """See `Collector.add`."""
        scores = self._task.outputs(logits)
        self._keys += map(key_to_text, keys)
        self._batches.append(
            (labels.astype(np.int64), scores.argmax(axis=1), scores.max(axis=1).astype(np.float32))
        )

    def predictions(self) -> Predictions:
        """See `Collector.predictions`."""
        labels, predicted, scores = map(np.concatenate, zip(*self._batches, strict=True))
        return Predictions(self._keys, labels, predicted, scores)

    def curve(self) -> ThresholdCurve:
        """Return accuracy and coverage of the predictions whose score is at least a threshold."""
        found = self.predictions()
        thresholds = [number / _BINS for number in range(_BINS + 1)]
        counted = [found.scores >= threshold for threshold in thresholds]
        right = found.is_right
        return ThresholdCurve(
            thresholds,
            {
                "accuracy": [float(right[kept].mean()) if kept.any() else None for kept in counted],
                "share of the images": [float(kept.mean()) for kept in counted],
            },
        )


class LabelCollector(Collector):
    """Counts the scores of all labels of all images in bins, with and without the label."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._counts = np.zeros((2, _BINS + 1), np.int64)
        self._bins = empty_bins()

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """See `Collector.add`."""
        del keys
        scores = self._task.outputs(logits)
        bins = (scores * _BINS).astype(np.int64)
        for row, present in enumerate((labels <= 0.5, labels > 0.5)):
            self._counts[row] += np.bincount(bins[present], minlength=_BINS + 1)
        self._bins += count_label_bins(scores, labels)

    def calibration(self) -> Calibration:
        """See `Collector.calibration`."""
        return summarize_bins(self._bins)

    def curve(self) -> ThresholdCurve:
        """Return precision and recall over the labels of all classes."""
        # The number of scores at or above each threshold.
        wrong, right = self._counts[:, ::-1].cumsum(axis=1)[:, ::-1].tolist()
        precision = [
            hits / (hits + misses) if hits + misses else None
            for hits, misses in zip(right, wrong, strict=True)
        ]
        recall = [hits / right[0] if right[0] else None for hits in right]
        thresholds = [number / _BINS for number in range(_BINS + 1)]
        return ThresholdCurve(thresholds, {"precision": precision, "recall": recall})


_COLLECTORS: dict[str, type[Collector]] = {
    "classification": ClassCollector,
    "multi-label": LabelCollector,
    "regression": Collector,
}
