"""Sections of a report about runs, and their comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from records.report.charts import draw_lines, draw_points
from records.report.parts import (
    Cell,
    Column,
    Facts,
    Kind,
    Note,
    Part,
    Section,
    Table,
    show_name,
    show_number,
)
from records.text.formatting import pluralize
from trainers.evaluation.label_metrics import MultiLabelEvaluation
from trainers.evaluation.metrics import Evaluation
from trainers.evaluation.mistakes import AnyMistake, LabelMistake, Mistake, ValueMistake
from trainers.report.comparison import comparison_sections
from trainers.report.confusion import confusion_parts
from trainers.report.curves import history_parts

if TYPE_CHECKING:
    from records.report.images import ImageSet
    from trainers.evaluation.scoring import AnyEvaluation
    from trainers.report.measure import MeasuredRun

_PICTURED_MISTAKES = 40


def run_sections(measured: Sequence[MeasuredRun], images: ImageSet) -> Iterator[Section]:
    """Yield a section for each run, and a comparison of the first run with each of the others.

    Args:
        measured: runs that are evaluated on one dataset.
        images: the images of the page; those that the sections show are added.
    """
    for number, each in enumerate(measured, 1):
        title = f"Run {number}: {show_name(each.run.location)}"
        yield Section(f"run-{number}", title, tuple(_run_parts(each, images)))
    yield from comparison_sections(measured, images)


def _run_parts(measured: MeasuredRun, images: ImageSet) -> Iterator[Part]:
    run, evaluation = measured.run, measured.evaluation
    yield Facts(tuple(_describe(measured)))
    yield from history_parts(run)
    if measured.predictions is not None:
        yield from confusion_parts(measured.predictions, run.labels, images)
    if isinstance(evaluation, Evaluation):
        yield from _class_parts(evaluation)
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
    curve = measured.curve
    if curve is not None:
        yield draw_lines(
            "Threshold of the score", curve.thresholds, curve.series,
            x="lowest score of a prediction", y="share", is_share=True,
        )  # fmt: skip
    yield _mistakes(evaluation, images)


def _describe(measured: MeasuredRun) -> Iterator[tuple[str, str]]:
    run, evaluation = measured.run, measured.evaluation
    options = run.config.options
    yield "model", show_name(run.config.architecture.model)
    yield "mode", options.mode
    yield "task", run.config.task
    yield "trained on", show_name(run.config.dataset)
    yield "finished", "yes" if run.is_finished else "no: the weights are those of the last epoch"
    yield "evaluated on", f"{evaluation.split}, {pluralize(evaluation.images, 'image')}"
    for name, value in metrics_of(evaluation).items():
        yield name, show_number(value, 4)
    if evaluation.excluded_images:
        yield "left out, because the run trained on them", f"{evaluation.excluded_images:,}"


def metrics_of(evaluation: AnyEvaluation) -> dict[str, float | None]:
    """Return the main metrics of an evaluation by name."""
    if isinstance(evaluation, Evaluation):
        return {
            "accuracy": evaluation.accuracy,
            "top-5 accuracy": evaluation.top_5_accuracy,
            "loss": evaluation.loss,
            "expected calibration error": evaluation.calibration.expected_error,
        }
    if isinstance(evaluation, MultiLabelEvaluation):
        return {
            "mean average precision": evaluation.mean_average_precision,
            "micro F1": evaluation.micro_f1,
            "macro F1": evaluation.macro_f1,
            "binary accuracy": evaluation.binary_accuracy,
            "loss": evaluation.loss,
        }
    return {
        "R²": evaluation.r2,
        "mean absolute error": evaluation.mean_absolute_error,
        "root mean squared error": evaluation.root_mean_squared_error,
        "loss": evaluation.loss,
    }


def _class_parts(evaluation: Evaluation) -> Iterator[Part]:
    columns = (
        Column("class"),
        Column("images", "count", has_bars=True),
        *(Column(name, "percent") for name in ("precision", "recall", "F1")),
    )
    rows = [
        (show_name(each.name), each.images, each.precision, each.recall, each.f1)
        for each in evaluation.per_class
    ]
    yield Table("Metrics by class", columns, rows)
    bins = [each for each in evaluation.calibration.bins if each.images]
    yield draw_lines(
        "Calibration: accuracy by confidence",
        [each.confidence or 0.0 for each in bins],
        {"accuracy": [each.accuracy for each in bins]},
        x="mean confidence of a bin",
        y="accuracy",
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


def _mistakes(evaluation: AnyEvaluation, images: ImageSet) -> Part:
    mistakes: Sequence[AnyMistake] = evaluation.mistakes
    if not mistakes:
        return Note("The run made no mistake.")
    rows = images.find_rows([each.key for each in mistakes])
    found: list[tuple[Cell, ...]] = []
    for mistake, row in zip(mistakes, rows, strict=True):
        pictures = 1 if len(found) < _PICTURED_MISTAKES else 0
        numbers = () if row is None else images.add([row], pictures=pictures)
        found.append((numbers, *_describe_mistake(mistake)))
    columns = (Column("image", "images"), *_MISTAKE_COLUMNS[type(mistakes[0])])
    return Table("Worst mistakes", columns, found)


_MISTAKE_COLUMNS: dict[type[msgspec.Struct], tuple[Column, ...]] = {
    Mistake: (
        Column("true class", has_choices=True),
        Column("predicted class", has_choices=True),
        Column("score", "percent"),
    ),
    LabelMistake: (
        Column("class", has_choices=True),
        Column("mistake", has_choices=True),
        Column("score", "percent"),
    ),
    ValueMistake: (
        Column("true value", "number"),
        Column("predicted value", "number"),
        Column("error", "number"),
    ),
}


def _describe_mistake(mistake: AnyMistake) -> tuple[Cell, ...]:
    if isinstance(mistake, Mistake):
        return show_name(mistake.class_name), show_name(mistake.predicted), mistake.score
    if isinstance(mistake, LabelMistake):
        kind = "predicted, but not a label" if mistake.predicted else "a label, but not predicted"
        return show_name(mistake.class_name), kind, mistake.score
    return mistake.value, mistake.predicted, mistake.error
