"""Comparison of two runs that are evaluated on one dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from records.report.charts import draw_lines
from records.report.parts import (
    Cell,
    Chart,
    Column,
    Facts,
    Finding,
    Note,
    Part,
    Section,
    Table,
    show_name,
)
from trainers.comparison import (
    PairedComparison,
    compare_paired,
    find_differences,
    format_option,
)
from trainers.evaluation.label_metrics import MultiLabelEvaluation
from trainers.evaluation.metrics import Evaluation
from trainers.report.curves import read_epochs
from trainers.report.metrics import metrics_of
from trainers.tasks import task_of

if TYPE_CHECKING:
    from records.report.images import ImageSet
    from trainers.report.measure import MeasuredRun, Predictions
    from trainers.runs.run_dir import Run

_MAX_IMAGES = 300
_PICTURED_IMAGES = 40
_DIFFER = "Images that one run predicts rightly"
_CLASS_METRICS: dict[type, tuple[str, str]] = {
    Evaluation: ("f1", "recall"),
    MultiLabelEvaluation: ("average_precision", "f1"),
}
"""The metrics by class that are compared; of the first one also the difference."""
_NAMES = {"f1": "F1", "recall": "recall", "average_precision": "average precision"}

_Names = tuple[str, str]


def comparison_sections(measured: Sequence[MeasuredRun], images: ImageSet) -> Iterator[Section]:
    """Yield a section for each run after the first, which compares it with the first run.

    Only runs of the same task are compared.
    """
    first = next(iter(measured), None)
    for number, other in enumerate(islice(measured, 1, None), 2):
        if first is not None and first.run.config.task == other.run.config.task:
            names = "Run 1", f"Run {number}"
            paired = compare_predictions(first.predictions, other.predictions)
            parts = tuple(_compare(first, other, names, paired, images))
            title = f"Runs 1 and {number} compared"
            verdict = () if paired is None else (Finding(title, paired.describe(*names), _DIFFER),)
            yield Section(f"runs-1-{number}", title, parts, verdict)


def _compare(
    first: MeasuredRun,
    other: MeasuredRun,
    names: _Names,
    paired: PairedComparison | None,
    images: ImageSet,
) -> Iterator[Part]:
    both = (first, other)
    yield Facts(
        tuple((name, show_name(each.run.location)) for name, each in zip(names, both, strict=True))
    )
    if paired is not None:
        yield Note(f"{paired.describe(*names)} (McNemar's exact test on the same images).")
        yield show_agreement(paired, names)
    yield _compare_metrics(first, other, names)
    yield from _compare_curves([each.run for each in both], names)
    yield _compare_options([each.run for each in both], names)
    yield from _compare_classes(first.evaluation, other.evaluation, names)
    if first.predictions is not None and other.predictions is not None:
        labels = first.run.labels
        yield compare_images(first.predictions, other.predictions, labels, names, images)


def _compare_metrics(first: MeasuredRun, other: MeasuredRun, names: _Names) -> Table:
    others = metrics_of(other)
    columns = (
        Column("metric"),
        *(Column(name, "number") for name in names),
        Column("difference", "number"),
    )
    rows = [
        (name, one, two, None if one is None or two is None else two - one)
        for name, one in metrics_of(first).items()
        for two in (others.get(name),)
    ]
    return Table("Metrics of both runs", columns, rows)


def _compare_curves(runs: Sequence[Run], names: _Names) -> Iterator[Chart]:
    """Yield a chart of each validation metric by epoch, with a line for each run."""
    histories = [read_epochs(run) for run in runs]
    for metric in task_of(runs[0].config).curves:
        values = {
            name: {int(epoch["epoch"]): epoch.get(f"val_{metric}") for epoch in epochs}
            for name, epochs in zip(names, histories, strict=True)
            if epochs
        }
        numbers = sorted({number for found in values.values() for number in found})
        if numbers:
            title = f"Validation {metric.replace('_', ' ')} of both runs"
            series = {name: [*map(found.get, numbers)] for name, found in values.items()}
            yield draw_lines(
                title, numbers, series, x="epoch", y=metric.replace("_", " "), x_kind="count"
            )


def _compare_options(runs: Sequence[Run], names: _Names) -> Part:
    rows = [(name, *map(format_option, values)) for name, values in find_differences(runs).items()]
    if not rows:
        return Note("The runs have the same options.")
    columns = (Column("option"), *map(Column, names))
    return Table("Options that differ", columns, rows)


def _compare_classes(first: Any, other: Any, names: _Names) -> Iterator[Table]:
    """Yield the metrics of each class; nothing if the runs predict a number."""
    if type(first) not in _CLASS_METRICS:
        return
    main, second = _CLASS_METRICS[type(first)]
    columns = (
        Column("class"),
        *(Column(f"{_NAMES[main]} of {name}", "percent") for name in names),
        Column(f"difference of {_NAMES[main]} (percentage points)", "points"),
        *(Column(f"{_NAMES[second]} of {name}", "percent") for name in names),
    )
    others = {each.name: each for each in other.per_class}
    rows: list[tuple[Cell, ...]] = []
    for each in first.per_class:
        if each.name in others:
            both = each, others[each.name]
            one, two = (getattr(found, main) for found in both)
            difference = None if one is None or two is None else two - one
            rows.append(
                (
                    show_name(each.name),
                    one,
                    two,
                    difference,
                    *(getattr(found, second) for found in both),
                )
            )
    yield Table("Classes of both runs", columns, rows)


def compare_predictions(
    first: Predictions | None, other: Predictions | None
) -> PairedComparison | None:
    """Return the comparison on the images that both runs predict; None without such images."""
    if first is None or other is None:
        return None
    rights = (dict(zip(it.keys, it.is_right.tolist(), strict=True)) for it in (first, other))
    return compare_paired(*rights)


def show_agreement(paired: PairedComparison, names: _Names) -> Facts:
    """Return how many images both runs, one of them or none of them predict rightly."""
    counts = {
        "right in both runs": paired.both_right,
        f"right only in {names[0]}": paired.only_first,
        f"right only in {names[1]}": paired.only_second,
        "wrong in both runs": paired.both_wrong,
    }
    return Facts(tuple((title, f"{count:,}") for title, count in counts.items()))


def compare_images(
    first: Predictions,
    other: Predictions,
    labels: Sequence[str],
    names: tuple[str, str],
    images: ImageSet,
) -> Table:
    """Return the images that exactly one run predicts rightly, the highest wrong score first."""
    places = {key: place for place, key in enumerate(other.keys)}
    found = [
        (one, two)
        for one, key in enumerate(first.keys)
        if (two := places.get(key)) is not None
        and (first.predicted[one] == first.labels[one])
        != (other.predicted[two] == other.labels[two])
    ]
    found.sort(key=lambda pair: -max(first.scores[pair[0]], other.scores[pair[1]]))
    shown = found[:_MAX_IMAGES]
    rows: list[tuple[Cell, ...]] = []
    for (one, two), row in zip(
        shown, images.find_rows([first.keys[one] for one, _ in shown]), strict=True
    ):
        pictures = 1 if len(rows) < _PICTURED_IMAGES else 0
        is_first = first.predicted[one] == first.labels[one]
        rows.append(
            (
                () if row is None else images.add([row], pictures=pictures),
                show_name(labels[first.labels[one]]),
                show_name(labels[first.predicted[one]]),
                show_name(labels[other.predicted[two]]),
                names[0] if is_first else names[1],
            )
        )
    columns = (
        Column("image", "images"),
        Column("true class", has_choices=True),
        *(Column(f"prediction of {name}") for name in names),
        Column("right", has_choices=True),
    )
    return Table(_DIFFER, columns, rows, total=len(found), thing="image")
