"""The label map of others' records: from a file, from the names in the records, or from numbers.

Labels of ours count from 0. Others' may count from 1, as in object detection, where 0 is the
background: then every reader takes 1 off.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

from records.errors import UsageError
from records.format.label_map import check_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from records.format.label_map import LabelMap

FirstLabel = Literal[0, 1]
_MOST_CLASSES = 1_000_000


class ClassReference(NamedTuple):
    """How a record tells its class: by number, by name ("" for none), or by both."""

    label: int | None
    text: str


class GivenLabels(NamedTuple):
    """A label map from a file; `counts_from_1`: its own numbers do, as those of a `.pbtxt`."""

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
    """The classes of a dataset from all the ways in which its records tell them.

    Args:
        found: each pair once, of records that tell a class.
        given: the label map of a file, if there is one.
        first_label: what the user says, else it follows from the numbers.
        path: the dataset, for messages.

    Raises:
        UsageError: numbers and names contradict each other or the file, or names are missing.
    """
    numbers = sorted({named.label for named in found if named.label is not None})
    if not numbers:
        labels = given.labels if given is not None else _sort({named.text for named in found})
        classes = Classes(labels, 0)
    elif given is not None:
        classes = Classes(given.labels, _fit(found, numbers, given, first_label))
    else:
        classes = _name(found, numbers, first_label, path)
    check_labels(classes.labels, path=path)
    return classes


def _sort(names: set[str]) -> LabelMap:
    return tuple(sorted(names - {""}, key=str.encode))


def _fit(
    found: Collection[ClassReference],
    numbers: list[int],
    given: GivenLabels,
    first_label: FirstLabel | None,
) -> FirstLabel:
    """Where numbers begin so that all have a name in the file, that of the record if it has one."""
    likely: tuple[FirstLabel, ...] = (1, 0) if given.counts_from_1 else (0, 1)
    for first in likely if first_label is None else (first_label,):
        last = first + len(given.labels) - 1
        inside = first <= numbers[0] and numbers[-1] <= last
        if inside and all(_agrees(named, given.labels, first) for named in found):
            return first
    raise UsageError(
        "the label map does not fit the records",
        path=given.path,
        expected=f"labels {numbers[0]} to {numbers[-1]}, and the names that the records have",
        got=f"{len(given.labels)} classes",
        hint="give the right one with --labels",
    )


def _agrees(named: ClassReference, labels: LabelMap, first: int) -> bool:
    return named.label is None or not named.text or labels[named.label - first] == named.text


def _name(
    found: Collection[ClassReference], numbers: list[int], first_label: FirstLabel | None, path: str
) -> Classes:
    """Names from the records, or numbers as names where records have none."""
    lowest: FirstLabel = 0 if numbers[0] == 0 else 1
    first = lowest if first_label is None else first_label
    if numbers[0] < first or numbers[-1] - first >= _MOST_CLASSES:
        raise UsageError(
            "labels are out of range",
            path=path,
            expected=f"numbers from {first}",
            got=f"{numbers[0]} to {numbers[-1]}",
        )
    names = _names_by_number(found, path)
    wanted = range(first, numbers[-1] + 1)
    if not names:
        note = f"the records have no class names, so {first} to {numbers[-1]} are taken for them"
        return Classes(tuple(map(str, wanted)), first, (f"{note}; --labels gives better ones",))
    missing = [number for number in wanted if number not in names]
    if missing:
        raise UsageError(
            f"no record tells the name of class {missing[0]}",
            path=path,
            hint="give all names with --labels FILE",
        )
    return Classes(tuple(names[number] for number in wanted), first)


def _names_by_number(found: Collection[ClassReference], path: str) -> Mapping[int, str]:
    names: defaultdict[int, set[str]] = defaultdict(set)
    for named in found:
        if named.label is not None and named.text:
            names[named.label].add(named.text)
    for number, texts in sorted(names.items()):
        if len(texts) > 1:
            raise UsageError(
                f"class {number} has more than one name",
                path=path,
                got=" and ".join(map(repr, sorted(texts)[:2])),
                hint="name another feature with --feature label=NAME or --feature text=NAME",
            )
    return {number: texts.pop() for number, texts in names.items()}
