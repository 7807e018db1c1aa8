"""Label map of adopted records, from a file or from the records.

The labels of a dataset start at 0. The numbers in adopted records may start at 1, as in object
detection, where 0 is the background. Every reader then subtracts 1.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

from records.errors import UsageError
from records.format.label_map import check_labels
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from records.format.label_map import LabelMap

FirstLabel = Literal[0, 1]
_MAX_CLASSES = 1_000_000


class ClassReference(NamedTuple):
    """The class of a record: a number, a name ("" if the record has none), or both."""

    label: int | None
    text: str


class GivenLabels(NamedTuple):
    """A label map from a file.

    Attributes:
        labels: the class names.
        path: the path of the file.
        counts_from_1: whether the numbers in the file start at 1, as in a `.pbtxt`.
    """

    labels: LabelMap
    path: str
    counts_from_1: bool


class Classes(NamedTuple):
    """The label map, the number of its first class in the records, and notes for the user."""

    labels: LabelMap
    first_label: FirstLabel
    notes: tuple[str, ...] = ()


def decide_classes(
    found: Collection[ClassReference],
    given: GivenLabels | None,
    first_label: FirstLabel | None,
    *,
    path: str,
) -> Classes:
    """Return the classes of a dataset.

    Args:
        found: the distinct classes in the records.
        given: the label map from a file; None if no file has one.
        first_label: the number of the first class; None derives it from the numbers.
        path: the path of the dataset, for messages.

    Raises:
        UsageError: the numbers and names in the records contradict each other or the label map,
            numbers are out of range, or a class has no name.
    """
    numbers = sorted({it.label for it in found if it.label is not None})
    if not numbers:
        labels = given.labels if given is not None else _sort({it.text for it in found})
        classes = Classes(labels, 0)
    elif given is not None:
        classes = Classes(given.labels, _match_first_label(found, numbers, given, first_label))
    else:
        classes = _name_classes(found, numbers, first_label, path)
    check_labels(classes.labels, path=path)
    return classes


def _sort(names: set[str]) -> LabelMap:
    return tuple(sorted(names - {""}, key=str.encode))


def _match_first_label(
    found: Collection[ClassReference],
    numbers: list[int],
    given: GivenLabels,
    first_label: FirstLabel | None,
) -> FirstLabel:
    """Return the number of the first class, 0 or 1, with which all records match the label map."""
    likely: tuple[FirstLabel, ...] = (1, 0) if given.counts_from_1 else (0, 1)
    for first in likely if first_label is None else (first_label,):
        last = first + len(given.labels) - 1
        inside = first <= numbers[0] and numbers[-1] <= last
        if inside and all(_matches(it, given.labels, first) for it in found):
            return first
    raise UsageError(
        "the label map does not match the records",
        path=given.path,
        expected=f"classes {numbers[0]} to {numbers[-1]}, named as in the records",
        got=f"a label map with {pluralize(len(given.labels), 'class name')}",
        hint="pass the label map of these records with --labels FILE",
    )


def _matches(reference: ClassReference, labels: LabelMap, first: int) -> bool:
    if reference.label is None or not reference.text:
        return True
    return labels[reference.label - first] == reference.text


def _name_classes(
    found: Collection[ClassReference], numbers: list[int], first_label: FirstLabel | None, path: str
) -> Classes:
    """Return the classes, named as in the records, or by number if the records have no names."""
    lowest: FirstLabel = 0 if numbers[0] == 0 else 1
    first = lowest if first_label is None else first_label
    if numbers[0] < first or numbers[-1] - first >= _MAX_CLASSES:
        raise UsageError(
            "labels in the records are out of range",
            path=path,
            expected=f"integers from {first} to {first + _MAX_CLASSES - 1}",
            got=f"{numbers[0]} to {numbers[-1]}",
        )
    names = _names_by_number(found, path)
    wanted = range(first, numbers[-1] + 1)
    if not names:
        note = (
            f"the records have no class names: the names are the numbers {first} to {numbers[-1]}"
        )
        return Classes(tuple(map(str, wanted)), first, (f"{note}; pass names with --labels FILE",))
    missing = [number for number in wanted if number not in names]
    if missing:
        raise UsageError(
            f"no record has the name of class {missing[0]}",
            path=path,
            hint="pass all names with --labels FILE",
        )
    return Classes(tuple(names[number] for number in wanted), first)


def _names_by_number(found: Collection[ClassReference], path: str) -> Mapping[int, str]:
    names: defaultdict[int, set[str]] = defaultdict(set)
    for it in found:
        if it.label is not None and it.text:
            names[it.label].add(it.text)
    for number, texts in sorted(names.items()):
        if len(texts) > 1:
            raise UsageError(
                f"class {number} has more than one name",
                path=path,
                got=" and ".join(map(repr, sorted(texts)[:2])),
                hint="choose the correct feature with --feature label=NAME or --feature text=NAME",
            )
    return {number: texts.pop() for number, texts in names.items()}
