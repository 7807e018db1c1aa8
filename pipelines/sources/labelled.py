"""Images of containers that give each image its label."""

from __future__ import annotations

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceFilter, Sources
from pipelines.sources.containers import ContainerFiles
from pipelines.sources.lists.columns import Roles
from pipelines.sources.lists.image_list import ListPart, collect_rows
from pipelines.sources.lists.rows import ListRow
from pipelines.sources.lists.table import ListTable
from records.errors import UsageError
from records.format.index import Reject
from records.runtime.row_table import iter_rows
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text

_LEAST_ROWS = 20


def list_labelled(
    options: ConvertOptions, source_filter: SourceFilter, files: ContainerFiles
) -> Sources:
    """List the images of containers with labels: their labels are those of a list.

    Raises:
        UsageError: no image has a label, the labels are captions, or class names collide or do not
            match `--labels` or `--classes`.
    """
    members = files.members
    table = ListTable(escape_for_display(options.source), (), lambda: iter(()), unit="image")
    roles = Roles("path", ("label",), None, None, None, (), ())
    keys = (key for (key,) in iter_rows(members.listing.files.to_table(), "key"))
    rows = [
        ListRow(number, key, None, (label,) if label else (), split, None)
        for number, (key, (label, split)) in enumerate(
            zip(keys, members.labels or (), strict=True), start=1
        )
    ]
    if not any(row.labels for row in rows):
        raise UsageError(
            "the containers give no image a class",
            path=escape_for_display(options.source),
            hint="list the class of each image in a file, and pass --list FILE; or name the column"
            " or array of the class with --label-column NAME",
        )
    _refuse_captions(rows, options)
    sources = collect_rows([ListPart(table, roles, rows, "")], options, source_filter, files)
    sources.understood = None
    sources.columns = None
    for file in members.listing.skipped:
        sources.left_out.append(file)
    for key, reason in members.listing.refused:
        if key in source_filter.excluded_keys:
            sources.left_out.add(key, "excluded-key")
        else:
            sources.rejects.append(Reject(key_to_text(key), None, "unreadable", reason, 0))
    return sources


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
