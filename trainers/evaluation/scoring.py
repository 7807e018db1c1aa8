"""The measurement of an evaluation, by task: metrics, worst mistakes and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from trainers.evaluation.label_metrics import LabelMetricsAccumulator, MultiLabelEvaluation
from trainers.evaluation.metrics import Evaluation, MetricsAccumulator
from trainers.evaluation.mistakes import (
    WorstLabelMistakes,
    WorstMistakes,
    WorstValues,
    describe_label_mistakes,
    describe_mistakes,
    describe_value_mistakes,
)
from trainers.evaluation.value_metrics import RegressionEvaluation, ValueMetricsAccumulator
from trainers.plots.charts import (
    plot_average_precision,
    plot_calibration,
    plot_confusion,
    plot_scatter,
)
from trainers.runs.thresholds import read_thresholds
from trainers.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainers.evaluation.mistakes import RecordLocation, ScoredMistake
    from trainers.runs.run_dir import Run

AnyEvaluation = Evaluation | MultiLabelEvaluation | RegressionEvaluation


class Scoring(Protocol):
    """The metrics and the worst mistakes of all batches of an evaluation."""

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """Add a batch: logits (images, outputs), the labels of the task, and keys (images,)."""

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
        self._outputs = task_of(run.config).outputs
        self._metrics, self._worst = MetricsAccumulator(len(run.labels)), WorstMistakes(mistakes)

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """See `Scoring.add`."""
        self._metrics.add(logits, labels)
        self._worst.add(self._outputs(logits), labels, keys)

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
        self._outputs = task_of(run.config).outputs
        self._metrics = LabelMetricsAccumulator(thresholds)
        self._worst = WorstLabelMistakes(mistakes, thresholds)

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """See `Scoring.add`."""
        self._metrics.add(logits, labels)
        self._worst.add(self._outputs(logits), labels, keys)

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


class ValueScoring:
    """See `Scoring`; of a number per image."""

    def __init__(self, run: Run, mistakes: int) -> None:
        target = run.config.architecture.target
        assert target is not None
        self._outputs = task_of(run.config).outputs
        self._metrics, self._worst = ValueMetricsAccumulator(target), WorstValues(mistakes)

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """See `Scoring.add`."""
        values = self._outputs(logits)
        self._metrics.add(values[:, 0], labels)
        self._worst.add(values, labels, keys)

    def ranked(self) -> list[ScoredMistake]:
        """See `Scoring.ranked`."""
        return self._worst.ranked()

    def summarize(
        self,
        split: str,
        labels: Sequence[str],  # noqa: ARG002
        places: dict[bytes, RecordLocation],
        excluded_images: int,
    ) -> RegressionEvaluation:
        """See `Scoring.summarize`."""
        mistakes = describe_value_mistakes(self.ranked(), places)
        return self._metrics.summarize(split, mistakes, excluded_images)


_SCORINGS: dict[str, Callable[[Run, int], Scoring]] = {
    "classification": ClassScoring,
    "multi-label": LabelScoring,
    "regression": ValueScoring,
}


def new_scoring(run: Run, mistakes: int) -> Scoring:
    """Return the empty measurement for the task of a run, which keeps this number of mistakes."""
    return _SCORINGS[run.config.task](run, mistakes)


def draw_metrics(evaluation: AnyEvaluation, labels: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the pictures of the metrics, each with the first part of its file name."""
    if isinstance(evaluation, MultiLabelEvaluation):
        yield "average-precision", plot_average_precision(evaluation)
    elif isinstance(evaluation, RegressionEvaluation):
        yield "scatter", plot_scatter(evaluation)
    else:
        yield "confusion", plot_confusion(evaluation, labels)
        yield "calibration", plot_calibration(evaluation)
