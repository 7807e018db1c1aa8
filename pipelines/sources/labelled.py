"""Images of containers that give each image its label."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceFilter, Sources
from pipelines.sources.cells import distinct_labels, read_labels, read_text
from pipelines.sources.containers import ContainerFiles
from pipelines.sources.containers.kinds import kind_of
from pipelines.sources.containers.part import Given
from pipelines.sources.lists.columns import NO_COLUMN, Roles
from pipelines.sources.lists.image_list import ListPart, collect_rows
from pipelines.sources.lists.kept_columns import check_texts, kept_names
from pipelines.sources.lists.rows import ListRow
from pipelines.sources.lists.table import ListTable, show_names
from records.errors import UsageError
from records.format.index import Reject
from records.runtime.row_table import iter_rows
from records.text.escaping import escape_for_display
from records.text.formatting import plural, pluralize
from records.text.keys import key_to_text

_LEAST_ROWS = 20


def list_labelled(
    options: ConvertOptions, source_filter: SourceFilter, files: ContainerFiles
) -> Sources:
    """List the images of containers with labels: labels and columns are treated as in a list.

    Raises:
        UsageError: an option needs a list, no image has a label, an image has several, the labels
            are captions, a column to keep is absent, or class names collide or do not match
            `--labels` or `--classes`.
    """
    _refuse_options(options, files)
    members = files.members
    given = members.given or []
    names = tuple(dict.fromkeys(name for each in given for name in each.fields))
    path = escape_for_display(options.source)
    table = ListTable(path, names, lambda: iter(()), unit="image", kind="containers")
    kept = kept_names(table, options, names)
    keys = (key for (key,) in iter_rows(members.listing.files.to_table(), "key"))
    rows = [
        _read_row(table, ListRow(number, key, None, (), each.split, None), each, kept, options)
        for number, (key, each) in enumerate(zip(keys, given, strict=True), start=1)
    ]
    if not any(row.labels for row in rows):
        raise UsageError(
            "the containers give no image a class",
            path=path,
            hint="list the class of each image in a file, and pass --list FILE; or name the column"
            " or array of the class with --label-column NAME",
        )
    _refuse_captions(rows, options)
    roles = Roles("path", ("label",), None, None, None, kept, ())
    sources = collect_rows([ListPart(table, roles, rows, "")], options, source_filter, files)
    sources.understood = _describe(options, kept)
    for file in members.listing.skipped:
        sources.left_out.append(file)
    for key, reason in members.listing.refused:
        if key in source_filter.excluded_keys:
            sources.left_out.add(key, "excluded-key")
        else:
            sources.rejects.append(Reject(key_to_text(key), None, "unreadable", reason, 0))
    return sources


def _read_row(
    table: ListTable, row: ListRow, given: Given, kept: Sequence[str], options: ConvertOptions
) -> ListRow:
    """Return a row with the labels and the columns that a list would give it."""
    where = table.place(row.number)
    found = read_labels({"label": given.label or ""}, "label", options.label_separator, where)
    labels = distinct_labels(found, where, is_multi_label=options.is_multi_label)
    texts = check_texts({name: read_text(given.fields, name, where) for name in kept}, where)
    return replace(row, labels=labels, kept=texts)


def _describe(options: ConvertOptions, kept: tuple[str, ...]) -> str | None:
    parts = ["any number of labels per image"] * options.is_multi_label
    if kept:
        parts.append(f"keeps {pluralize(len(kept), 'column')}: {show_names(kept)}")
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
    others = [kind for it in files.containers if not (kind := kind_of(it.key)).has_fields]
    flag = "--multi-label" if options.is_multi_label else "--keep-columns"
    if others and (options.is_multi_label or options.keep_columns not in {None, "none", ()}):
        raise UsageError(
            f"{flag} needs WebDataset shards, Parquet files or a list",
            path=path,
            got=plural(others[0].name),
            hint="add --list FILE",
        )


def _refuse_captions(rows: list[ListRow], options: ConvertOptions) -> None:
    """Raise UsageError if most images have different labels of several words."""
    captions = {label for row in rows for label in row.labels if " " in label}
    if len(rows) >= _LEAST_ROWS and len(captions) > len(rows) / 2:
        raise UsageError(
            "the texts next to the images are captions, not classes",
            path=escape_for_display(options.source),
            got=escape_for_display(min(captions)),
            hint="list the class of each image in a file, and pass --list FILE",
        )
