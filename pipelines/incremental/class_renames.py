"""New names of classes of a dataset: `--rename-class`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow.compute as pc

from pipelines.sources import Sources
from records.errors import UsageError
from records.format.index import flat_labels
from records.format.label_map import LabelMap, check_labels, label_ids
from records.format.manifest import Manifest
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.names import normalize_name

_OPTION = "--rename-class"
_SHOWN_CLASSES = 10


class ClassRenames(NamedTuple):
    """The classes of a dataset that get the name of another class folder.

    Attributes:
        names: the new name of each of these classes, by its name in the dataset.
        labels: the label map of the dataset with the new names.
        merged: the new label of the records of a class whose new name belongs to another label.
        notes: remarks for the report.
    """

    names: Mapping[str, str]
    labels: LabelMap
    merged: Mapping[int, int]
    notes: tuple[str, ...]

    def apply(self, labels: tuple[int, ...]) -> tuple[int, ...]:
        """Return the labels of a record with these labels, in ascending order."""
        if self.merged.keys().isdisjoint(labels):
            return labels
        return tuple(sorted({self.merged.get(label, label) for label in labels}))

    def changed(self, labels: LabelMap) -> frozenset[int]:
        """Return the labels that change in the records of a dataset with this label map."""
        return renamed_labels(labels, self.labels) | self.merged.keys()

    def check_source(self, sources: Sources) -> None:
        """Raise UsageError if the source still contains a class that gets another name."""
        table = sources.images.to_table()
        is_several = table["labels"].null_count < len(table)
        labels = flat_labels(table.select(["labels" if is_several else "label"]))
        present = {sources.labels[label] for label in pc.unique(labels).to_pylist() if label >= 0}
        if left := sorted((self.names.keys() - self.names.values()) & present):
            raise UsageError(
                f"the source still contains a class of {_OPTION}",
                got=_show(left),
                hint="move the images of this class into the folder with the new name, or omit the"
                " option",
            )


def renamed_labels(before: LabelMap, after: LabelMap) -> frozenset[int]:
    """Return the labels whose names differ in two label maps; the second one may be longer."""
    pairs = zip(before, after, strict=False)
    return frozenset(label for label, (old, new) in enumerate(pairs) if old != new)


def find_renames(given: Mapping[str, str] | Sequence[str] | None, base: Manifest) -> ClassRenames:
    """Return the renames that have an effect on a dataset.

    A rename that an earlier run has applied has none: the dataset has only the new name, or another
    class got the old name from the same renames, as in an exchange.

    Args:
        given: the values of `--rename-class`, `OLD=NEW`; in Python also a mapping.
        base: the manifest of the dataset.

    Raises:
        UsageError: a value is invalid, or the dataset has neither name.
    """
    pairs, numbers = _read_pairs(given), label_ids(base.labels)
    _require_known(pairs, base.labels)
    names = {
        old: new
        for old, new in pairs.items()
        if old in numbers and not _is_applied(old, pairs, base)
    }
    targets = [names.get(name, name) for name in base.labels]
    # A class that keeps its name keeps its label; otherwise, the first class gets the name.
    keepers = {name: label for label, name in reversed([*enumerate(targets)])}
    keepers |= {name: label for name, label in numbers.items() if name not in names}
    merged = {label: keepers[name] for label, name in enumerate(targets) if keepers[name] != label}
    records = {name: _count(base, label) for name, label in numbers.items()}
    # Without records, a merge has no effect, unless another class gets the name.
    no_effect = {base.labels[label] for label in merged if not records[base.labels[label]]}
    for name in no_effect - {*names.values()}:
        del merged[numbers[name]], names[name]
    labels = _name_labels(base.labels, targets, keepers)
    check_labels(labels, path=_OPTION)
    merged_names = {base.labels[label] for label in merged}
    notes = tuple(_notes(pairs, names, records, merged_names))
    return ClassRenames(names, labels, merged, notes)


def _name_labels(labels: LabelMap, targets: Sequence[str], keepers: Mapping[str, int]) -> LabelMap:
    """Return a label map with the new names of classes.

    A class that is merged keeps its name. If another class gets this name, it has a name that no
    class has now: a label is never removed.
    """
    names = {label: name for label, name in enumerate(targets) if keepers[name] == label}
    for label, name in enumerate(labels):
        if label not in names and name not in names.values():
            names[label] = name
    unused = iter([name for name in labels if name not in names.values()])
    return tuple(names[label] if label in names else next(unused) for label in range(len(labels)))


def _is_applied(old: str, pairs: Mapping[str, str], base: Manifest) -> bool:
    """Return whether a class got its name `old` from the same renames, which are given again.

    Then they gave the new name to the class that was `old` before.
    """
    for generation in reversed(base.generations):
        names = generation.renamed_classes
        if old in names.values():
            same = {name for name, new in names.items() if pairs.get(name) == new}
            return old in same and old in {names[name] for name in same}
    return False


def _read_pairs(given: Mapping[str, str] | Sequence[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    texts = given.items() if isinstance(given, Mapping) else map(_divide, given or ())
    for old, new in ((normalize_name(old), normalize_name(new)) for old, new in texts):
        if not old or not new or old == new:
            raise UsageError(
                f"{_OPTION} needs the old and the new name of a class",
                expected="OLD=NEW",
                got=escape_for_display(f"{old}={new}"),
            )
        if pairs.setdefault(old, new) != new:
            raise UsageError(
                f"the class {escape_for_display(old)} has two new names",
                path=_OPTION,
                got=" and ".join(map(escape_for_display, (pairs[old], new))),
            )
    return pairs


def _divide(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    return old.strip(), new.strip()


def _require_known(pairs: Mapping[str, str], labels: LabelMap) -> None:
    unknown = [old for old, new in pairs.items() if old not in labels and new not in labels]
    if unknown:
        raise UsageError(
            f"{_OPTION} names a class that the dataset does not have",
            expected=_show(labels),
            got=_show(unknown),
        )


def _notes(
    pairs: Mapping[str, str],
    names: Mapping[str, str],
    records: Mapping[str, int],
    merged: set[str],
) -> Iterator[str]:
    for old, new in pairs.items():
        first, second = map(escape_for_display, (old, new))
        images = pluralize(records.get(old, 0), "image")
        if old in merged:
            keeps = f"{first} keeps its label, without images"
            if old in names.values():
                keeps = "its label has no images now"
            yield f"class {first} merged into class {second}: {images} relabelled; {keeps}"
        elif old in names:
            yield f"class {first} renamed to {second}: {images}"
        else:
            why = f"no image has the class {first}"
            if records.get(old):
                why = "an earlier run has applied it"
            yield f"{_OPTION} {first}={second} has no effect: {why}"


def _count(base: Manifest, label: int) -> int:
    return sum(info.class_records[label] for info in base.splits.values())


def _show(names: Sequence[str]) -> str:
    more = ", …" * (len(names) > _SHOWN_CLASSES)
    return ", ".join(map(escape_for_display, names[:_SHOWN_CLASSES])) + more
