"""Comparison of two runs that are evaluated on one dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from records.report.parts import Cell, Column, Facts, Part, Section, Table, show_name
from trainers.evaluation.metrics import Evaluation

if TYPE_CHECKING:
    from records.report.images import ImageSet
    from trainers.report.measure import MeasuredRun, Predictions

_MAX_IMAGES = 300
_PICTURED_IMAGES = 40


def comparison_sections(measured: Sequence[MeasuredRun], images: ImageSet) -> Iterator[Section]:
    """Yield a section for each run after the first, which compares it with the first run.

    Only runs that predict one class are compared.
    """
    first = next(iter(measured), None)
    for number, other in enumerate(islice(measured, 1, None), 2):
        if first is not None and first.predictions is not None and other.predictions is not None:
            parts = tuple(_compare(first, other, number, images))
            yield Section(f"runs-1-{number}", f"Runs 1 and {number} compared", parts)


def _compare(
    first: MeasuredRun, other: MeasuredRun, number: int, images: ImageSet
) -> Iterator[Part]:
    assert isinstance(first.evaluation, Evaluation)
    assert isinstance(other.evaluation, Evaluation)
    names = ("Run 1", f"Run {number}")
    yield Facts(
        tuple(
            (name, f"{show_name(each.run.location)}: accuracy {each.evaluation.accuracy:.2%}")
            for name, each in zip(names, (first, other), strict=True)
            if isinstance(each.evaluation, Evaluation)
        )
    )
    yield _compare_classes(first.evaluation, other.evaluation, names)
    if first.predictions is not None and other.predictions is not None:
        labels = first.run.labels
        yield compare_images(first.predictions, other.predictions, labels, names, images)


def _compare_classes(first: Evaluation, other: Evaluation, names: tuple[str, str]) -> Table:
    columns = (
        Column("class"),
        *(Column(f"F1 of {name}", "percent") for name in names),
        Column("difference of F1", "percent"),
        *(Column(f"recall of {name}", "percent") for name in names),
    )
    others = {each.name: each for each in other.per_class}
    rows: list[tuple[Cell, ...]] = []
    for one in first.per_class:
        two = others.get(one.name)
        if two is not None:
            known = one.f1 is not None and two.f1 is not None
            difference = (two.f1 or 0) - (one.f1 or 0) if known else None
            rows.append((show_name(one.name), one.f1, two.f1, difference, one.recall, two.recall))
    return Table("Classes of both runs", columns, rows)


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
    note = f"{_MAX_IMAGES} of {len(found):,}." if len(found) > _MAX_IMAGES else ""
    return Table("Images that one run predicts rightly", columns, rows, note)
