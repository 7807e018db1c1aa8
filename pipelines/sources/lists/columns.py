"""Roles of the columns of a list: path, label, split, group, target."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from pipelines.options import ConvertOptions
from pipelines.sources.cells import Row, require_utf8
from pipelines.sources.column_names import ALIASES, is_index, plain_last_part, plain_name
from pipelines.sources.lists.kept_columns import kept_names, named_to_keep
from pipelines.sources.lists.table import ListTable, folder_name, is_image_path, show_names
from pipelines.sources.one_hot import find_binary_columns
from records.errors import UsageError
from records.format.layout import parse_split
from records.text.escaping import escape_for_display

NO_COLUMN = "none"
"""The value of `--label-column`, `--split-column` and `--group-column` for a list without it."""
ONE_CLASS = "image"
"""The class of all images of a list without labels."""
NO_SPLIT = frozenset({"", "unassigned"})
"""Lower-case values of a split column that assign no split; the second one is AutoML's."""

_SAMPLE_ROWS = 100
_LEAST_NUMBERS = 20
"""The fewest rows whose distinct integers are not labels: few images may each have a class."""


class Roles(NamedTuple):
    """The columns of a list by role.

    Attributes:
        path: the column with the path of the image, or with its name without the extension.
        labels: the column of the label, or one-hot columns, each named after its class; empty if
            all images have the class `ONE_CLASS`.
        split: the column of the split, if there is one.
        group: the column of the group, if there is one.
        confidence: the column of Open Images in which 0 means that the label is wrong.
        kept: the columns whose values the records keep.
        ignored: all other columns, except the index of pandas.
        target: the column that is kept as the target of a regression, if there is one.
        has_class_folders: whether the label of an image is the name of its folder; `labels` is
            empty then.
    """

    path: str
    labels: tuple[str, ...]
    split: str | None
    group: str | None
    confidence: str | None
    kept: tuple[str, ...]
    ignored: tuple[str, ...]
    target: str | None = None
    has_class_folders: bool = False

    @property
    def is_one_hot(self) -> bool:
        """Return whether each class has a column."""
        return len(self.labels) > 1


def named_columns(options: ConvertOptions) -> tuple[str, ...]:
    """Return the columns that the user names."""
    given = (
        options.path_column,
        options.label_column,
        options.split_column,
        options.group_column,
        options.target_column,
    )
    names = [name for name in given if name is not None and name != NO_COLUMN]
    return (*(part for name in names for part in name.split(",")), *named_to_keep(options))


def option_of_lists(options: ConvertOptions) -> str | None:
    """Return the first option that names columns, or applies only to lists; None if none does."""
    given = {
        "--path-column": options.path_column is not None,
        "--label-column": options.label_column is not None,
        "--split-column": options.split_column not in {None, NO_COLUMN},
        "--group-column": options.group_column not in {None, NO_COLUMN},
        "--target-column": options.target_column is not None,
        "--keep-columns": options.keep_columns == "all" or bool(named_to_keep(options)),
        "--multi-label": options.is_multi_label,
    }
    return next((flag for flag, is_given in given.items() if is_given), None)


def choose_columns(table: ListTable, options: ConvertOptions) -> Roles:
    """Return the columns of a list by role.

    A role has the column that the user names; otherwise, the one with a well-known name. If only
    one column is left, it has the missing role of path or label. Columns that are left and hold
    only 0 and 1 are one-hot. A list with paths alone has the labels of their folders.

    Raises:
        UsageError: a named column does not exist, or no column or several ones can have a role, or
            the name of a one-hot column is not valid UTF-8.
    """
    return _Choice(table, options).choose()


class _Choice:
    """One choice of columns; `left` are the columns without a role."""

    def __init__(self, table: ListTable, options: ConvertOptions) -> None:
        self._table = table
        self._options = options
        self._plain = {name: plain_name(name) for name in table.columns}
        self.left = [name for name in table.columns if not is_index(self._plain[name])]
        # A column that is kept may have a role by its name, but never by its values.
        self._kept = frozenset(named_to_keep(options))

    def choose(self) -> Roles:
        options = self._options
        # Columns that the user names first: they are candidates of no other role.
        path = self._named("path", options.path_column)
        labels = self._named_labels()
        split = self._named("split", options.split_column)
        group = self._named("group", options.group_column)
        target = self._named("target", options.target_column)
        needs_label = options.label_column != NO_COLUMN
        if not self._table.has_header:
            path, split = self._guess(path, split)
        path = path or self._find("path")
        confidence = self._find_confidence()
        if split is None and options.split_column is None:
            split = self._find("split")
        if group is None and options.group_column is None:
            group = self._find("group")
        label = self._find("label") if needs_label and not labels else None
        labels = labels or ((label,) if label is not None else ())
        path = path or self._last("path", labels or target)
        has_class_folders = False
        if needs_label and target is None and not labels:
            has_class_folders = self._has_class_folders(path)
            labels = () if has_class_folders else self._last_labels(path)
        for name in labels if len(labels) > 1 else ():
            require_utf8(name, self._table.path)
        kept = kept_names(self._table, options, self.left, target)
        ignored = tuple(name for name in self.left if name not in kept)
        return Roles(
            path, labels, split, group, confidence, kept, ignored, target, has_class_folders
        )

    def _named(self, role: str, name: str | None) -> str | None:
        """Return the column that the user names, without regard to case and punctuation."""
        if name is None or (name == NO_COLUMN and role in {"label", "split", "group"}):
            return None
        wanted = plain_name(name)
        alike = [column for column, text in self._plain.items() if text == wanted]
        found = name if name in self._plain else alike[0] if len(alike) == 1 else None
        if found is None:
            raise UsageError(
                f"--{role}-column is not a column of the list",
                path=self._table.path,
                expected=self._table.shown_columns(),
                got=escape_for_display(name),
            )
        return self._take(found)

    def _named_labels(self) -> tuple[str, ...]:
        name = self._options.label_column
        if name is None:
            return ()
        is_one = "," not in name or name in self._table.columns
        names = [name] if is_one else [part.strip() for part in name.split(",")]
        return tuple(column for part in names if (column := self._named("label", part)))

    def _take(self, name: str) -> str:
        if name in self.left:
            self.left.remove(name)
        return name

    def _find(self, role: str) -> str | None:
        """Return the column with a well-known name. Raises UsageError if there are several."""
        if not self._table.has_header:
            return None
        fields = {name: part for name in self.left if (part := plain_last_part(name))}
        columns = {name: self._plain[name] for name in self.left if name not in fields}
        whole = {name: self._plain[name] for name in fields}
        for plain in (columns, whole, fields):
            for names in ALIASES[role]:
                found = [name for name, text in plain.items() if text in names]
                if len(found) > 1:
                    raise self._ambiguous(role, found)
                if found:
                    return self._take(found[0])
        return None

    def _find_confidence(self) -> str | None:
        """Return the column `Confidence` of a list of Open Images."""
        plain = {self._plain[name]: name for name in self.left}
        is_open_images = {"labelname", "confidence"} <= plain.keys()
        return self._take(plain["confidence"]) if is_open_images else None

    def _guess(self, path: str | None, split: str | None) -> tuple[str | None, str | None]:
        """Return the columns of path and split of a list without a header, by their values."""
        rows = [row for _, row in islice(self._table.rows(), _SAMPLE_ROWS)]
        if path is None:
            found = [name for name in self.left if is_image_path(str(rows[0].get(name, "")))]
            if len(found) > 1:
                raise self._ambiguous("path", found)
            if len(self.left) == 1:  # a list of labels alone is not read here
                found = [*self.left]
            path = self._take(found[0]) if found else None
        if split is None and self._options.split_column is None:
            for name in self.left:
                values = [str(row.get(name, "")) for row in rows]
                splits = [value for value in values if value.strip().lower() not in NO_SPLIT]
                is_split = all(map(parse_split, splits)) and any(value.strip() for value in values)
                if is_split and len(self.left) > 1:
                    split = self._take(name)
                    break
        self.left = [name for name in self.left if any(row.get(name) for row in rows)]
        if path is not None:
            self._drop_numbers(path, rows)
        return path, split

    def _drop_numbers(self, path: str, rows: Sequence[Row]) -> None:
        """Drop a first column that numbers the rows, as in lists of MXNet and CUB-200."""
        first, others = self.left[:1], self.left[1:]
        if first != list(self._table.columns[:1]) or not _are_distinct_integers(rows, first[0]):
            return
        if others:
            are_classes = any(_has_repeated_value(rows, name) for name in others)
        else:
            are_classes = len(rows) >= _LEAST_NUMBERS and len(_folders(rows, path)) > 1
        if are_classes:
            self.left = others

    def _has_class_folders(self, path: str) -> bool:
        """Return whether a list has only paths, and these are in several folders."""
        if self._candidates():
            return False
        first: set[str] = set()
        for _, row in self._table.rows():
            first |= _folders((row,), path)
            if len(first) > 1:
                return True
        return False

    def _last(self, role: str, others: Iterable[str] | None) -> str:
        """Return the only column that is left, if the columns of the other role are known."""
        left = self._candidates()
        if others and len(left) == 1:
            return self._take(left[0])
        raise self._missing(role)

    def _candidates(self) -> list[str]:
        """Return the columns that are left and that no option names."""
        return [name for name in self.left if name not in self._kept]

    def _last_labels(self, path: str) -> tuple[str, ...]:
        if len(self._candidates()) == 1:
            return (self._last("label", (path,)),)
        columns = self._binary_columns() if self._table.has_header else ()
        if len(columns) < 2:
            raise self._missing("label")
        chosen = set(columns)
        self.left = [name for name in self.left if name not in chosen]
        return columns

    def _binary_columns(self) -> tuple[str, ...]:
        """Return the columns that hold only 0 and 1, and both of them at least once."""
        return find_binary_columns(self._candidates(), (row for _, row in self._table.rows()))

    def _ambiguous(self, role: str, names: list[str]) -> UsageError:
        shown = [escape_for_display(name) for name in names[:5]]
        return UsageError(
            f"several columns of the list can be the {role}",
            path=self._table.path,
            got=show_names(tuple(names)),
            hint=f"pass --{role}-column {_quoted(shown[0])} or --{role}-column {_quoted(shown[1])}",
        )

    def _missing(self, role: str) -> UsageError:
        return UsageError(
            f"no column of the list is known to be the {role}",
            path=self._table.path,
            expected="a column such as path, file_name or image_id"
            if role == "path"
            else "a column such as label, class or category, or one-hot columns",
            got=self._table.shown_columns(),
            hint=f"pass --{role}-column NAME"
            + ("" if self._table.has_header else ", with the number of the column as its name")
            + "; or --target-column NAME for a column of numbers to predict, or --label-column none"
            " if the images have no labels" * (role == "label"),
        )


def _are_distinct_integers(rows: Sequence[Row], name: str) -> bool:
    values = [str(row.get(name, "")) for row in rows]
    return all(map(str.isdecimal, values)) and len(set(values)) == len(values)


def _has_repeated_value(rows: Sequence[Row], name: str) -> bool:
    return len({row.get(name) for row in rows}) < len(rows)


def _folders(rows: Iterable[Row], path: str) -> set[str]:
    """Return the names of the folders of images."""
    return {folder for row in rows if (folder := folder_name(str(row.get(path, ""))))}


def _quoted(name: str) -> str:
    return f"'{name}'" if re.search(r"[^\w.-]", name) else name
