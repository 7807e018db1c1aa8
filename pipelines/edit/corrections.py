"""Corrected classes of images: a list of keys and class names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pipelines.options import ConvertOptions
from pipelines.sources.cells import distinct_labels, read_labels, read_text
from pipelines.sources.class_layout import assign_labels_from_list, extend_labels
from pipelines.sources.lists.columns import Roles, choose_columns
from pipelines.sources.lists.open import parse_list
from pipelines.sources.lists.table import ListTable
from pipelines.sources.one_hot import read_one_hot
from pipelines.sources.reader import read_text_file
from records.errors import InputNotFoundError, UsageError
from records.format.label_map import LabelMap
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text, key_to_text
from records.text.names import normalize_name

Corrections = Mapping[str, tuple[str, ...]]
"""The class names of each image to relabel, by key."""


def read_corrections(path: str, options: ConvertOptions) -> Corrections:
    """Return the classes in a list, which has the forms of `convert --list`.

    Args:
        path: the path or URL of the list; a path in it is a key as the index has it.
        options: the names of its columns, and the separator of labels.

    Raises:
        InputNotFoundError: the list does not exist, or is empty.
        UsageError: a column or a value of the list is invalid.
    """
    return parse_corrections(read_text_file(path), path, options)


def parse_corrections(content: bytes, path: str, options: ConvertOptions) -> Corrections:
    """Return the classes in the content of a list. Raises as `read_corrections`."""
    options.validate()
    table = parse_list(content, path, options)
    if not table.columns or next(table.rows(), None) is None:
        raise InputNotFoundError("the list is empty", path=table.path)
    found: dict[str, tuple[str, ...]] = {}
    for key, names, where in _read_rows(table, choose_columns(table, options), options):
        labels = distinct_labels(iter(names), where, is_multi_label=True)
        if set(found.setdefault(key, labels)) != set(labels):
            raise UsageError(
                "two rows of one image have different labels",
                path=where,
                got=f"{_show(labels)}, and {_show(found[key])} in an earlier row",
                hint=f"remove one of the rows of {escape_for_display(key)}",
            )
    return found


def _read_rows(
    table: ListTable, roles: Roles, options: ConvertOptions
) -> Iterator[tuple[str, list[str], str]]:
    """Yield the key, the class names and the place of each row."""
    one_hot = frozenset(roles.labels)
    for number, cells in table.rows():
        where = table.place(number)
        key = key_to_text(key_from_text(read_text(cells, roles.path, where).strip()))
        if not key:
            raise UsageError("a row has no key", path=where)
        if roles.is_one_hot:
            names = read_one_hot(cells, one_hot, where)
        else:
            names = read_labels(cells, roles.labels[0], options.label_separator, where)
        yield key, [normalize_name(name) for name in names], where


def _show(labels: Iterable[str]) -> str:
    return ", ".join(map(escape_for_display, labels)) or "none"


def check_corrections(given: Mapping[str, object]) -> Corrections:
    """Return the corrections that a program gives: a class, or several classes, by key.

    Raises:
        UsageError: a value is neither a class name nor a sequence of class names.
    """
    found: dict[str, tuple[str, ...]] = {}
    for key, value in given.items():
        names = [value] if isinstance(value, str) else value
        texts = [key, *names] if isinstance(names, list | tuple | set | frozenset) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise UsageError(
                "argument labels: not a key and its class",
                expected="a class name, or several, by key",
                got=escape_for_display(f"{key!r}: {value!r}"),
            )
        labels = tuple(dict.fromkeys(normalize_name(str(name)) for name in texts[1:]))
        if set(found.setdefault(key_to_text(key_from_text(key)), labels)) != set(labels):
            raise UsageError(
                "argument labels: two forms of one key have different labels",
                got=escape_for_display(key),
            )
    return found


def require_one_class(corrections: Corrections) -> None:
    """Raise UsageError if an image has no class, or several."""
    for key, names in corrections.items():
        if len(names) != 1:
            raise UsageError(
                "an image of this dataset has one class",
                got=f"{escape_for_display(key)}: {_show(names)}",
            )


def extend_label_map(existing: LabelMap, corrections: Corrections, *, allow_new: bool) -> LabelMap:
    """Return the label map of a dataset, with the new classes of corrections at its end.

    Raises:
        UsageError: a class name is invalid, or there are new classes and `allow_new` is false.
    """
    names = {name for labels in corrections.values() for name in labels}
    found = assign_labels_from_list(names, source="the corrections")
    new = tuple(name for name in found.values() if name not in existing)
    if new and not allow_new:
        raise UsageError(
            "the corrections have classes that the dataset does not have",
            expected=_show(existing[:10]),
            got=_show(new[:10]),
            hint="pass --allow-new-classes to add them after the existing classes",
        )
    return extend_labels(existing, new, allow_new=True)
