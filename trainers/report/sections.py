"""Sections of a report about runs, and their comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from records.report.charts import draw_lines, draw_points
from records.report.parts import (
    Chart,
    Column,
    Facts,
    Finding,
    Kind,
    Part,
    Section,
    Table,
    show_name,
    show_number,
)
from records.text.formatting import pluralize
from trainers.evaluation.label_metrics import MultiLabelEvaluation
from trainers.evaluation.metrics import Evaluation
from trainers.report.comparison import comparison_sections
from trainers.report.confusion import CONFUSED_PAIRS, confusion_parts, most_confused
from trainers.report.curves import history_parts
from trainers.report.metrics import metrics_of
from trainers.report.mistakes import mistake_parts
from trainers.tasks import task_of
from trainers.tasks.intervals import format_accuracy

if TYPE_CHECKING:
    from records.report.images import ImageSet
    from trainers.evaluation.calibration import Calibration
    from trainers.report.measure import MeasuredRun


def run_sections(measured: Sequence[MeasuredRun], images: ImageSet) -> Iterator[Section]:
    """Yield a section for each run, and a comparison of the first run with each of the others.

    Args:
        measured: runs that are evaluated on one dataset.
        images: the images of the page; those that the sections show are added.
    """
    for number, each in enumerate(measured, 1):
        name, title = f"run-{number}", f"Run {number}: {show_name(each.run.location)}"
        findings = tuple(_findings(each, f"Run {number}"))
        yield Section(name, title, tuple(_run_parts(each, images, name)), findings)
    yield from comparison_sections(measured, images)


def _findings(measured: MeasuredRun, name: str) -> Iterator[Finding]:
    """Yield the main metric, and the classes that the run confuses most."""
    evaluation = measured.evaluation
    if isinstance(evaluation, Evaluation):
        value = f"accuracy {format_accuracy(evaluation.accuracy, evaluation.images)}"
    else:
        metric, number = next(iter(metrics_of(measured).items()))
        value = f"{metric} {show_number(number, 4)}"
    text = f"{value} on {pluralize(evaluation.images, 'image')} of {evaluation.split}"
    yield Finding(name, text)
    if measured.predictions is not None:
        confused = most_confused(measured.predictions, measured.run.labels)
        if confused:
            yield Finding(f"Most confused in {name}", confused, CONFUSED_PAIRS)


def _run_parts(measured: MeasuredRun, images: ImageSet, name: str) -> Iterator[Part]:
    run, evaluation = measured.run, measured.evaluation
    yield Facts(tuple(_describe(measured)))
    yield from history_parts(run)
    if measured.predictions is not None:
        yield from confusion_parts(measured.predictions, run.labels, images)
    if isinstance(evaluation, Evaluation):
        yield _class_table(evaluation)
    elif isinstance(evaluation, MultiLabelEvaluation):
        yield _label_table(evaluation)
    else:
        yield draw_points(
            "Predicted and true values",
            np.array(evaluation.points),
            x="true value",
            y="predicted value",
            diagonal=True,
        )
    if measured.calibration is not None:
        of_labels = not task_of(run.config).is_exclusive
        yield _draw_calibration(measured.calibration, of_labels=of_labels)
    curve = measured.curve
    if curve is not None:
        yield draw_lines(
            "Threshold of the score", curve.thresholds, curve.series,
            x="lowest score of a prediction", y="share", is_share=True,
        )  # fmt: skip
    predictions = measured.predictions
    total = 0 if predictions is None else int((~predictions.is_right).sum())
    yield from mistake_parts(
        evaluation.mistakes, measured.explanation, images, name=name, total=total
    )


def _describe(measured: MeasuredRun) -> Iterator[tuple[str, str]]:
    run, evaluation = measured.run, measured.evaluation
    options = run.config.options
    yield "model", show_name(run.config.architecture.model)
    yield "mode", options.mode
    yield "task", run.config.task
    yield "trained on", show_name(run.config.dataset)
    yield (
        "finished",
        "yes" if run.is_finished else "no: the weights are those of the best epoch so far",
    )
    yield "evaluated on", f"{evaluation.split}, {pluralize(evaluation.images, 'image')}"
    for name, value in metrics_of(measured).items():
        yield name, show_number(value, 4)
    if isinstance(evaluation, Evaluation):
        low, high = evaluation.accuracy_interval
        yield "95 % confidence interval of the accuracy", f"{low:.1%} to {high:.1%}"
    if evaluation.excluded_images:
        yield "left out, because the run trained on them", f"{evaluation.excluded_images:,}"


def _class_table(evaluation: Evaluation) -> Table:
    columns = (
        Column("class"),
        Column("images", "count", has_bars=True),
        *(Column(name, "percent") for name in ("precision", "recall", "F1")),
    )
    rows = [
        (show_name(each.name), each.images, each.precision, each.recall, each.f1)
        for each in evaluation.per_class
    ]
    return Table("Metrics by class", columns, rows)


def _draw_calibration(calibration: Calibration, *, of_labels: bool) -> Chart:
    """Return the reliability diagram: of predicted classes, or of the scores of all labels."""
    share = "share of images with the label" if of_labels else "accuracy"
    score = "score" if of_labels else "confidence"
    bins = [each for each in calibration.bins if each.images]
    return draw_lines(
        f"Calibration: {share} by {score}",
        [each.confidence or 0.0 for each in bins],
        {share: [each.accuracy for each in bins]},
        x=f"mean {score} of a bin",
        y=share,
        x_kind="percent",
        is_share=True,
        diagonal=True,
    )


def _label_table(evaluation: MultiLabelEvaluation) -> Table:
    kinds: dict[str, Kind] = {
        "images": "count",
        "threshold": "number",
        **dict.fromkeys(("average_precision", "precision", "recall", "f1"), "percent"),
        **dict.fromkeys(("true_positives", "false_positives", "false_negatives"), "count"),
    }
    columns = (
        Column("class"),
        *(Column(name.replace("_", " "), kind) for name, kind in kinds.items()),
    )
    rows = [
        (show_name(each.name), *(getattr(each, name) for name in kinds))
        for each in evaluation.per_class
    ]
    return Table("Metrics by class, at the thresholds of the run", columns, rows)
