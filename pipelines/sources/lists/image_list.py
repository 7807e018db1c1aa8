"""Images of a list, with labels, splits and groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceFilter, Sources
from pipelines.sources.cells import find_separator
from pipelines.sources.column_names import may_have_role
from pipelines.sources.lists.columns import Roles, choose_columns
from pipelines.sources.lists.describe import describe_ignored, describe_list
from pipelines.sources.lists.kept_columns import (
    infer_columns,
    is_quantity,
    note_missing_targets,
    parse_values,
    require_columns,
)
from pipelines.sources.lists.label_lines import add_paths, has_only_labels, require_classes
from pipelines.sources.lists.locate import Locator
from pipelines.sources.lists.open import image_folder, open_list
from pipelines.sources.lists.rows import ListRow, read_rows
from pipelines.sources.lists.sorter import RowSorter
from pipelines.sources.lists.table import ListTable, show_names
from pipelines.sources.reader import SourceFiles
from records.errors import InputNotFoundError, UsageError
from records.format.columns import Columns, pack_values
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text


def list_image_list(
    options: ConvertOptions, source_filter: SourceFilter, files: SourceFiles
) -> Sources:
    """List the images of an image list. Raises the errors of `list_sources`."""
    folder = image_folder(options)
    table = open_list(str(options.list), options)
    is_ordered = has_only_labels(table, options)
    if is_ordered:
        table = add_paths(table, options, folder, files)
    sources = collect_rows([read_part(table, options, folder)], options, source_filter, files)
    if is_ordered:
        sources.notes.append(
            "the list has no paths: the images get its labels in the order of their names"
        )
    return sources


class ListPart(NamedTuple):
    """One list, read: there are several if each split folder has one.

    Attributes:
        table: the list.
        roles: its columns.
        rows: its rows.
        folder: the folder below the source to which the paths belong.
    """

    table: ListTable
    roles: Roles
    rows: list[ListRow]
    folder: str


def read_part(table: ListTable, options: ConvertOptions, folder: str) -> ListPart:
    """Read all rows of a list. Raises InputNotFoundError if it is empty, and UsageError."""
    if not table.columns or next(table.rows(), None) is None:
        raise InputNotFoundError("the list is empty", path=table.path)
    roles = choose_columns(table, options)
    rows = list(read_rows(table, roles, options, folder))
    _require_classes(table, roles, rows, options)
    return ListPart(table, roles, rows, folder)


def _require_classes(
    table: ListTable, roles: Roles, rows: Sequence[ListRow], options: ConvertOptions
) -> None:
    """Raise UsageError if a column that is the label only because it is left has no classes."""
    is_named = options.label_column is not None or options.append or options.is_multi_label
    if is_named or len(roles.labels) != 1 or may_have_role(roles.labels[0], "label"):
        return
    name = escape_for_display(roles.labels[0])
    require_classes(
        [label for row in rows for label in row.labels],
        table.path,
        f"name the column of the labels with --label-column NAME; or pass --label-column {name} if"
        " its texts are classes, or --label-column none if the images have no labels",
    )


def collect_rows(
    parts: Sequence[ListPart],
    options: ConvertOptions,
    source_filter: SourceFilter,
    files: SourceFiles,
) -> Sources:
    """Return the images, rejects and excluded images of lists. Raises UsageError."""
    return _ListSources(parts, options, source_filter, files).collect()


class _ListSources:
    """Sorts the rows of lists into images, rejects and excluded images."""

    def __init__(
        self,
        parts: Sequence[ListPart],
        options: ConvertOptions,
        source_filter: SourceFilter,
        files: SourceFiles,
    ) -> None:
        self._parts = parts
        self._options = options
        self._excluded_keys = source_filter.excluded_keys
        self._files = files
        path = parts[0].table.path
        if any(row.group for part in parts for row in part.rows):
            self._refuse_counts(parts[0])
        texts = dict.fromkeys(text for part in parts for row in part.rows for text in row.labels)
        if not texts:
            _require_given_labels(parts, source_filter)
        self._sorter = RowSorter(texts, options, source_filter, path=path)
        self._sources = self._sorter.sources
        self._columns = self._sources.columns = _columns(parts, source_filter)
        self._rows: dict[bytes, tuple[ListPart, Locator, ListRow]] = {}
        self._labels: dict[bytes, dict[str, None]] = {}  # of images with several rows
        self._unconfirmed: dict[bytes, None] = {}
        self._repeated = 0

    def collect(self) -> Sources:
        patterns = []
        for part in self._parts:
            locator = Locator(
                self._files, part.rows, part.folder, follow_symlinks=self._options.follow_symlinks
            )
            for row in part.rows:
                self._read(part, row, locator)
            patterns += locator.patterns
        for key, (part, locator, row) in self._rows.items():
            labels = self._labels.get(key)
            merged = row if labels is None else replace(row, labels=tuple(labels))
            self._add(key, part, merged, locator)
        for key in self._unconfirmed.keys() - self._rows.keys():
            is_excluded = key in self._excluded_keys
            self._sources.left_out.add(key, "excluded-key" if is_excluded else "not-confirmed")
        if self._repeated:
            self._sources.notes.append(
                f"the list has {pluralize(self._repeated, 'row')} twice; each image is stored once"
            )
        self._note_missing_targets()
        self._note_labels()
        self._sources.notes += describe_ignored(part.roles for part in self._parts)
        roles = self._parts[0].roles
        self._sources.understood = describe_list(
            roles, self._sources.labels, patterns, multi_label=self._options.is_multi_label
        )
        return self._sources

    def _note_missing_targets(self) -> None:
        """Add a note with the number of images without a target. Raises UsageError if all are."""
        name = next((part.roles.target for part in self._parts if part.roles.target), None)
        if name is not None:
            texts = [
                row.kept[part.roles.kept.index(name)] if name in part.roles.kept else ""
                for part, _, row in self._rows.values()
            ]
            self._sources.notes += note_missing_targets(texts, name, self._parts[0].table.path)

    def _note_labels(self) -> None:
        """Add a note if the classes are numbers with decimals, or seem to be several labels."""
        texts = {text for part in self._parts for row in part.rows for text in row.labels}
        names = self._parts[0].roles.labels
        # The name of the column or field is known only for lists.
        if self._parts[0].table.kind == "list" and len(names) == 1 and is_quantity(texts):
            column = escape_for_display(names[0])
            self._sources.notes.append(
                f"the labels in the column {column} are numbers with decimals: to predict the "
                f"numbers themselves, convert with --target-column {column}"
            )
        found = None if self._options.is_multi_label else find_separator(texts)
        if found is not None:
            text, separator = found
            self._sources.notes.append(
                f"{escape_for_display(text)} is one class: if these are several labels, convert "
                f"with --label-separator '{separator}'"
            )

    def _read(self, part: ListPart, row: ListRow, locator: Locator) -> None:
        """Find the key of a row; labels of several rows of one image are those of the image."""
        key = locator.key_of(row, partial(part.table.place, row.number))
        if not row.is_confirmed:
            self._unconfirmed[key] = None
            return
        first_part, _, first = self._rows.setdefault(key, (part, locator, row))
        if first is not row:
            self._require_same(key, (part, row), (first_part, first))
            self._labels.setdefault(key, dict.fromkeys(first.labels)).update(
                dict.fromkeys(row.labels)
            )

    def _add(self, key: bytes, part: ListPart, row: ListRow, locator: Locator) -> None:
        self._sorter.add(
            key,
            row.labels,
            partial(locator.find, row, key),
            split=row.split,
            group=os.fsencode(row.group) if row.group else None,
            url=row.url,
            columns=partial(self._pack_columns, part, row),
        )

    def _pack_columns(self, part: ListPart, row: ListRow) -> bytes | None:
        """Return the values of the columns of the dataset. Raises UsageError."""
        if not self._columns:
            return None
        texts = dict(zip(part.roles.kept, row.kept, strict=True))
        wanted = [texts.get(column.name, "") for column in self._columns]
        return pack_values(parse_values(self._columns, wanted, part.table.place(row.number)))

    def _require_same(
        self, key: bytes, repeated: tuple[ListPart, ListRow], earlier: tuple[ListPart, ListRow]
    ) -> None:
        """Count a repeated row. Raises UsageError if it differs from the earlier row of the image.

        Rows of one image may have different labels if an image may have any number of labels.
        """
        (part, row), (first_part, first) = repeated, earlier
        labels = [] if self._options.is_multi_label else [("labels", row.labels, first.labels)]
        kept = dict(zip(part.roles.kept, row.kept, strict=True))
        kept_before = dict(zip(first_part.roles.kept, first.kept, strict=True))
        for what, now, before in (
            *((what, "".join(now), "".join(before)) for what, now, before in labels),
            ("splits", row.split, first.split),
            ("groups", row.group, first.group),
            *((f"values of {name}", kept.get(name), kept_before.get(name)) for name in kept),
        ):
            if now != before:
                raise UsageError(
                    f"two rows of one image have different {what}",
                    path=part.table.place(row.number),
                    got=f"{escape_for_display(now or 'none')}, and "
                    f"{escape_for_display(before or 'none')} in {first_part.table.unit} "
                    f"{first.number}",
                    hint=f"remove one of the rows of {escape_for_display(key_to_text(key))}"
                    + ", or pass --multi-label to store all labels" * (what == "labels"),
                )
        self._repeated += row.labels == first.labels

    def _refuse_counts(self, part: ListPart) -> None:
        if not self._options.keeps_groups:
            column = escape_for_display(part.roles.group or "group")
            raise UsageError(
                "exact counts and --stratify need a list without groups: groups are never divided",
                path=part.table.path,
                got=f"groups in the column {column}",
                hint="use fractions: --test 0.2; or --group-column none if the column does not "
                "contain groups",
            )


def _columns(parts: Sequence[ListPart], source_filter: SourceFilter) -> Columns:
    """Return the columns to keep, with the types of the dataset if there is one."""
    texts: dict[str, list[str]] = {name: [] for part in parts for name in part.roles.kept}
    for part in parts:
        for number, name in enumerate(part.roles.kept):
            texts[name] += [row.kept[number] for row in part.rows]
        for name in texts.keys() - set(part.roles.kept):
            texts[name].append("")
    columns = infer_columns(texts, [part.roles.target for part in parts])
    require_columns(columns, source_filter.existing_columns, parts[0].table.path)
    return columns if source_filter.existing_columns is None else source_filter.existing_columns


def _require_given_labels(parts: Sequence[ListPart], source_filter: SourceFilter) -> None:
    """Raise UsageError for a list without a label if no option gives classes."""
    if source_filter.given_labels is not None or source_filter.classes is not None:
        return
    part = parts[0]
    columns = part.roles.labels
    raise UsageError(
        "no row of the list has a label",
        path=part.table.path,
        expected="a 1 in one of the one-hot columns of each row"
        if part.roles.is_one_hot
        else f"the class of each image in the column {show_names(columns)}",
        got=pluralize(sum(len(part.rows) for part in parts), "row") + " without a label",
        hint=f"if another column has the labels, pass --label-column NAME; the columns are: "
        f"{part.table.shown_columns()}",
    )
