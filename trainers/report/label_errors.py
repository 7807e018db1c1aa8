"""Section of a report about labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from records.format.index import label_lists
from records.format.label_map import label_ids
from records.report.parts import (
    Cell,
    Column,
    Facts,
    Finding,
    Note,
    Part,
    Section,
    Table,
    show_name,
)
from records.text.formatting import pluralize
from trainers.tasks.intervals import format_accuracy

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.report.images import ImageSet
    from trainers.label_errors.result import ClassOverlap, LabelError, LabelErrors, Outlier

_MAX_CANDIDATES = 1000
_PICTURED_CANDIDATES = 150
_MAX_OUTLIERS = 300
_PICTURED_OUTLIERS = 40
_MAX_OVERLAPS = 300
_WRONG, _OUTLIERS = "Labels that may be wrong", "Outliers"

_Found = TypeVar("_Found", bound="LabelError | Outlier")


def label_errors_section(
    found: LabelErrors, dataset: Dataset, rows: pa.Table, images: ImageSet
) -> Section:
    """Return the section with the candidates, the outliers, and the classes that are confused.

    The search may have read another generation: images that are no longer in this dataset, or
    that have another class now, are left out.

    Args:
        found: the result of the search.
        dataset: an open dataset.
        rows: its index rows, as `records.stats.read_index_rows` returns them.
        images: the images of the page; those that the section shows are added.
    """
    candidates = _find_current(found.candidates, dataset, rows, images)
    outliers = _find_current(found.outliers, dataset, rows, images)
    left_out = len(found.candidates) + len(found.outliers) - len(candidates) - len(outliers)
    facts = [
        ("backbone", show_name(found.model)),
        ("images", f"{found.images:,}"),
        (f"accuracy in {found.folds} folds", format_accuracy(found.accuracy, found.images)),
        ("labels that may be wrong", f"{len(candidates):,}"),
        ("outliers", f"{len(outliers):,}"),
    ]
    if left_out:
        facts.append(("left out, because they were removed or corrected", f"{left_out:,}"))
    parts = (
        Facts(tuple(facts)),
        *_candidate_parts(candidates, dataset, images),
        *_outlier_parts(outliers, images),
        *_overlap_parts(found.overlaps),
    )
    candidate_count = pluralize(len(candidates), "label")
    counts = f"{candidate_count} may be wrong, {pluralize(len(outliers), 'outlier')}"
    finding = Finding("Label errors", counts, _WRONG if candidates else _OUTLIERS)
    return Section("label-errors", "Label errors", parts, (finding,))


def _find_current(
    found: Sequence[_Found], dataset: Dataset, rows: pa.Table, images: ImageSet
) -> list[tuple[int, _Found]]:
    """Return the images whose class is still the same, with the numbers of their index rows."""
    numbers = images.find_rows([each.key for each in found])
    known = [(row, each) for row, each in zip(numbers, found, strict=True) if row is not None]
    labels = label_lists(rows.take(pa.array([row for row, _ in known], pa.int64())))
    return [
        (row, each)
        for (row, each), own in zip(known, labels, strict=True)
        if [dataset.labels[label] for label in own] == [each.class_name]
    ]


def _candidate_parts(
    candidates: Sequence[tuple[int, LabelError]], dataset: Dataset, images: ImageSet
) -> Iterator[Part]:
    if not candidates:
        yield Note("No label seems wrong.")
        return
    yield Note(
        "A suggested class is the prediction of a classifier that has not seen the image. Look at"
        " the images: a candidate is not always an error. Select those whose label is wrong, and"
        " save the corrections."
    )
    ids = label_ids(dataset.labels)
    rows: list[tuple[Cell, ...]] = []
    for row, each in candidates[:_MAX_CANDIDATES]:
        numbers = images.add([row], pictures=1 if len(rows) < _PICTURED_CANDIDATES else 0)
        label = ids.get(each.suggested)
        if label is not None:
            images.suggest(row, label)
        names = map(show_name, (each.class_name, each.suggested))
        rows.append((numbers, *names, each.score, each.suggested_score, each.split))
    columns = (
        Column("image", "images"),
        Column("class", has_choices=True),
        Column("suggested class", has_choices=True),
        Column("probability of the class", "percent"),
        Column("probability of the suggested class", "percent"),
        Column("split", has_choices=True),
    )
    yield Table(_WRONG, columns, rows, total=len(candidates), thing="label")


def _outlier_parts(outliers: Sequence[tuple[int, Outlier]], images: ImageSet) -> Iterator[Part]:
    rows: list[tuple[Cell, ...]] = []
    for row, each in outliers[:_MAX_OUTLIERS]:
        numbers = images.add([row], pictures=1 if len(rows) < _PICTURED_OUTLIERS else 0)
        rows.append((numbers, show_name(each.class_name), each.distance, each.split))
    columns = (
        Column("image", "images"),
        Column("class", has_choices=True),
        Column("distance to the nearest class", "number"),
        Column("split", has_choices=True),
    )
    if rows:
        yield Table(_OUTLIERS, columns, rows, total=len(outliers), thing="outlier")


def _overlap_parts(overlaps: Sequence[ClassOverlap]) -> Iterator[Part]:
    rows: list[tuple[Cell, ...]] = [
        (*map(show_name, each.classes), each.images) for each in overlaps[:_MAX_OVERLAPS]
    ]
    columns = (Column("class"), Column("other class"), Column("images", "count", has_bars=True))
    if rows:
        yield Table("Confused classes", columns, rows, total=len(overlaps), thing="pair")
