"""Images of containers that give each image its label."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceFilter, Sources
from pipelines.sources.cells import distinct_labels, read_labels, read_text
from pipelines.sources.containers import ContainerFiles
from pipelines.sources.containers.entry import Label
from pipelines.sources.containers.kinds import kind_of
from pipelines.sources.containers.part import Given
from pipelines.sources.lists.columns import NO_COLUMN, ONE_CLASS, Roles
from pipelines.sources.lists.image_list import ListPart, collect_rows
from pipelines.sources.lists.kept_columns import (
    check_target,
    check_texts,
    kept_names,
    named_to_keep,
)
from pipelines.sources.lists.rows import ListRow
from pipelines.sources.lists.table import ListTable, show_names
from records.errors import UsageError
from records.format.index import Reject
from records.runtime.row_table import iter_rows
from records.text.escaping import escape_for_display
from records.text.formatting import plural, pluralize
from records.text.keys import key_to_text

COLUMN_HINT = (
    "name the column, feature or array of the class with --label-column NAME, or that of a number"
    " to predict with --target-column NAME"
)
_LEAST_ROWS = 20


def list_labelled(
    options: ConvertOptions, source_filter: SourceFilter, files: ContainerFiles
) -> Sources:
    """List the images of containers with labels: labels and columns are treated as in a list.

    Raises:
        UsageError: an option needs a list, no image has a label, an image has several, the labels
            are captions, a column to keep is absent, a target is not a number, or class names
            collide or do not match `--labels` or `--classes`.
    """
    _refuse_options(options, files)
    members = files.members
    given = _name_numbers(members.given or [])
    listed = members.listing.files.to_table()
    names, lists = _field_names(given, options)
    table = ListTable(
        escape_for_display(options.source),
        names,
        lambda: iter(()),
        unit="image",
        kind="containers",
        show=_places(listed, files),
    )
    kept = kept_names(table, options, names, options.target_column)
    class_columns = _class_columns(given, table)
    labels = () if _is_unlabelled(given, options) else ("label",)
    roles = Roles("path", labels, None, None, None, kept, (), options.target_column)
    reader = _RowReader(table, roles, options)
    rows = [
        reader.read(number, key, each)
        for number, ((key,), each) in enumerate(
            zip(iter_rows(listed, "key"), given, strict=True), start=1
        )
        if each.problem is None
    ]
    _require_labels(rows, options)
    sources = collect_rows([ListPart(table, roles, rows, "")], options, source_filter, files)
    sources.understood = _describe(options, roles, class_columns)
    if lists:
        shown = show_names(lists)
        sources.notes.append(
            f"columns without texts, numbers or booleans, which are not kept: {shown}"
        )
    for file in members.listing.skipped:
        sources.left_out.append(file)
    rejects = [(key, "unreadable", reason, 0) for key, reason in members.listing.refused]
    rejects += [
        (key, "no-class", each.problem, size_bytes)
        for (key, size_bytes), each in zip(
            iter_rows(listed, "key", "size_bytes"), given, strict=True
        )
        if each.problem is not None
    ]
    for key, reason, detail, size_bytes in rejects:
        if key in source_filter.excluded_keys:
            sources.left_out.add(key, "excluded-key")
        else:
            sources.rejects.append(Reject(key_to_text(key), None, reason, detail, size_bytes))
    return sources


def _places(listed: pa.Table, files: ContainerFiles) -> Callable[[int], str]:
    """Return the function that returns the place of an image by its number, from 1."""
    keys, members = (listed[name].combine_chunks() for name in ("key", "member"))

    def show(number: int) -> str:
        return files.show_member(keys[number - 1].as_py(), members[number - 1].as_py())

    return show


def _name_numbers(given: Sequence[Given]) -> list[Given]:
    """Return what containers give, with the names of classes in place of their numbers.

    All names have the same length, so that a number has one name in all arrays and files.
    """
    width = max((len(str(it.label)) for it in given if isinstance(it.label, int)), default=0)
    return [
        each._replace(label=str(each.label).zfill(width)) if isinstance(each.label, int) else each
        for each in given
    ]


def _field_names(
    given: Sequence[Given], options: ConvertOptions
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of columns and fields with single values, and those with other values.

    A column that the user names counts as one with single values.
    """
    names = dict.fromkeys(name for each in given for name in each.fields)
    named = {*named_to_keep(options), options.target_column}
    lists = {
        name
        for each in given
        for name, cell in each.fields.items()
        if name not in named and not isinstance(cell, str) and (cell is None or len(cell) > 1)
    }
    return (
        tuple(name for name in names if name not in lists),
        tuple(name for name in names if name in lists),
    )


def _class_columns(given: Sequence[Given], table: ListTable) -> tuple[str, ...]:
    """Return the columns of classes. Raises UsageError if they are not those of all containers.

    Their order may differ.
    """
    found = {
        frozenset(each.class_columns): (number, each.class_columns)
        for number, each in enumerate(given, start=1)
    }
    if len(found) > 1:
        (_, columns), (number, others) = sorted(found.values())[-2:]
        raise UsageError(
            "the containers have different columns of classes",
            path=table.place(number),
            expected=show_names(columns),
            got=show_names(others),
            hint="name the columns of classes: --label-column NAME,NAME",
        )
    return next((columns for _, columns in found.values()), ())


def _is_unlabelled(given: Sequence[Given], options: ConvertOptions) -> bool:
    """Return whether all images have one class, as in a list without a column of labels."""
    is_optional = options.target_column is not None or options.label_column == NO_COLUMN
    return is_optional and not any(each.label for each in given)


class _RowReader:
    """Reads rows with the labels and the columns that a list would give them."""

    def __init__(self, table: ListTable, roles: Roles, options: ConvertOptions) -> None:
        self._table = table
        self._roles = roles
        self._options = options
        # Most images have the labels of an earlier one.
        self._labels: dict[tuple[Label | None, bool], tuple[str, ...]] = {}

    def read(self, number: int, key: bytes, given: Given) -> ListRow:
        """Return the row of an image. Raises UsageError."""
        try:
            return ListRow(
                number,
                key,
                None,
                self._read_labels(given),
                given.split,
                None,
                kept=self._read_texts(key, given) if self._roles.kept else (),
            )
        except UsageError as error:
            # Only errors need the place: it takes longer than the row.
            error.path = self._table.place(number)
            raise

    def _read_labels(self, given: Given) -> tuple[str, ...]:
        if not self._roles.labels:
            return (ONE_CLASS,)
        label, is_separate = given.label, bool(given.class_columns)
        labels = self._labels.get((label, is_separate))
        if labels is None:
            separator = None if is_separate else self._options.label_separator
            assert not isinstance(label, int), "_name_numbers has named it"
            where = self._table.path
            found = read_labels({"label": label or ""}, "label", separator, where)
            labels = distinct_labels(found, where, is_multi_label=self._options.is_multi_label)
            self._labels[label, is_separate] = labels
        return labels

    def _read_texts(self, key: bytes, given: Given) -> tuple[str, ...]:
        roles, where = self._roles, self._table.path
        texts = check_texts(
            {name: read_text(given.fields, name, where) for name in roles.kept}, where
        )
        if roles.target is not None:
            check_target(texts[roles.kept.index(roles.target)], roles.target, where, key=key)
        return texts


def _describe(options: ConvertOptions, roles: Roles, class_columns: tuple[str, ...]) -> str | None:
    is_multi_label = options.is_multi_label
    parts = []
    if not roles.labels:
        parts.append("no labels")
    elif class_columns:
        kind = "multi" if is_multi_label else "one"
        columns = pluralize(len(class_columns), f"{kind}-hot column")
        labels = "any number of labels per image" if is_multi_label else "labels"
        parts.append(f"{labels} from {columns}: {show_names(class_columns)}")
    elif is_multi_label:
        parts.append("any number of labels per image")
    if roles.target is not None:
        parts.append(f"targets from column `{escape_for_display(roles.target)}`")
    if roles.kept:
        parts.append(f"keeps {pluralize(len(roles.kept), 'column')}: {show_names(roles.kept)}")
    return "; ".join(parts) or None


def _refuse_options(options: ConvertOptions, files: ContainerFiles) -> None:
    """Raise UsageError for an option that needs a list, or another kind of container."""
    path = escape_for_display(options.source)
    for flag, value in (
        ("--path-column", options.path_column),
        ("--split-column", options.split_column),
        ("--group-column", options.group_column),
        ("--image-folder", options.image_folder),
    ):
        if value not in {None, NO_COLUMN}:
            raise UsageError(f"{flag} needs a list", path=path, hint="add --list FILE")
    wanted = {
        "--multi-label": options.is_multi_label,
        "--keep-columns": options.keep_columns not in {None, "none", ()},
        "--target-column": options.target_column is not None,
    }
    kinds = dict.fromkeys(kind_of(container.key) for container in files.containers)
    for flag in (flag for flag, is_given in wanted.items() if is_given):
        for kind in kinds:
            if flag not in kind.options:
                raise UsageError(
                    f"{flag} does not apply to {plural(kind.name)}",
                    path=path,
                    expected="WebDataset shards, Parquet, TFRecord, MDS or NumPy files, or a list",
                    got=f"images with {kind.gives}",
                    hint=f"omit {flag}, or add --list FILE",
                )


def _require_labels(rows: list[ListRow], options: ConvertOptions) -> None:
    """Raise UsageError if no image has a label, or most have different ones of several words."""
    if not any(row.labels for row in rows):
        raise UsageError(
            "the containers give no image a class",
            path=escape_for_display(options.source),
            hint=f"{COLUMN_HINT}; or list the class of each image in a file, and pass --list FILE",
        )
    captions = {label for row in rows for label in row.labels if " " in label}
    if len(rows) >= _LEAST_ROWS and len(captions) > len(rows) / 2:
        raise UsageError(
            "the texts next to the images are captions, not classes",
            path=escape_for_display(options.source),
            got=escape_for_display(min(captions)),
            hint="list the class of each image in a file, and pass --list FILE",
        )
