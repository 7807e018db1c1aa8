"""The measurement of an evaluation, by task: metrics, worst mistakes and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from trainers.evaluation.label_metrics import LabelMetricsAccumulator, MultiLabelEvaluation
from trainers.evaluation.metrics import Evaluation, MetricsAccumulator
from trainers.evaluation.mistakes import (
    WorstLabelMistakes,
    WorstMistakes,
    describe_label_mistakes,
    describe_mistakes,
)
from trainers.plots.charts import plot_average_precision, plot_calibration, plot_confusion
from trainers.runs.thresholds import read_thresholds
from trainers.tasks import find_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainers.evaluation.mistakes import RecordLocation, ScoredMistake
    from trainers.runs.run_dir import Run

AnyEvaluation = Evaluation | MultiLabelEvaluation


class Scoring(Protocol):
    """The metrics and the worst mistakes of all batches of an evaluation."""

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """Add a batch: logits (images, classes), the labels of the task, and keys (images,)."""

    def ranked(self) -> list[ScoredMistake]:
        """Return the worst mistakes, the worst first."""

    def summarize(
        self,
        split: str,
        labels: Sequence[str],
        places: dict[bytes, RecordLocation],
        excluded_images: int,
    ) -> Any:
        """Return the result; `places` are the locations of the records of the mistakes."""


class ClassScoring:
    """See `Scoring`; of exactly one label per image."""

    def __init__(self, run: Run, mistakes: int) -> None:
        self._probabilities = find_task(run.config.task).probabilities
        self._metrics, self._worst = MetricsAccumulator(len(run.labels)), WorstMistakes(mistakes)

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """See `Scoring.add`."""
        self._metrics.add(logits, labels)
        self._worst.add(self._probabilities(logits), labels, keys)

    def ranked(self) -> list[ScoredMistake]:
        """See `Scoring.ranked`."""
        return self._worst.ranked()

    def summarize(
        self,
        split: str,
        labels: Sequence[str],
        places: dict[bytes, RecordLocation],
        excluded_images: int,
    ) -> Evaluation:
        """See `Scoring.summarize`."""
        mistakes = describe_mistakes(self.ranked(), places, labels)
        return self._metrics.summarize(split, labels, mistakes, excluded_images)


class LabelScoring:
    """See `Scoring`; of any number of labels per image."""

    def __init__(self, run: Run, mistakes: int) -> None:
        thresholds = read_thresholds(run)
        self._probabilities = find_task(run.config.task).probabilities
        self._metrics = LabelMetricsAccumulator(thresholds)
        self._worst = WorstLabelMistakes(mistakes, thresholds)

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """See `Scoring.add`."""
        self._metrics.add(logits, labels)
        self._worst.add(self._probabilities(logits), labels, keys)

    def ranked(self) -> list[ScoredMistake]:
        """See `Scoring.ranked`."""
        return self._worst.ranked()

    def summarize(
        self,
        split: str,
        labels: Sequence[str],
        places: dict[bytes, RecordLocation],
        excluded_images: int,
    ) -> MultiLabelEvaluation:
        """See `Scoring.summarize`."""
        mistakes = describe_label_mistakes(self.ranked(), places, labels)
        return self._metrics.summarize(split, labels, mistakes, excluded_images)


_SCORINGS: dict[str, Callable[[Run, int], Scoring]] = {
    "classification": ClassScoring,
    "multi-label": LabelScoring,
}


def new_scoring(run: Run, mistakes: int) -> Scoring:
    """Return the empty measurement for the task of a run, which keeps this number of mistakes."""
    return _SCORINGS[run.config.task](run, mistakes)


def draw_metrics(evaluation: AnyEvaluation, labels: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the pictures of the metrics, each with the first part of its file name."""
    if isinstance(evaluation, MultiLabelEvaluation):
        yield "average-precision", plot_average_precision(evaluation)
    else:
        yield "confusion", plot_confusion(evaluation, labels)
        yield "calibration", plot_calibration(evaluation)
