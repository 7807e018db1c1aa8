"""Description of a list for the user, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipelines.sources.lists.columns import Roles
from pipelines.sources.lists.table import show_names
from records.format.label_map import LabelMap
from records.text.escaping import escape_for_display
from records.text.formatting import plural, pluralize

_SHOWN_PATTERNS = 3


def describe_list(
    roles: Roles,
    labels: LabelMap,
    patterns: Sequence[tuple[str, str]],
    *,
    multi_label: bool = False,
) -> str:
    """Return one line: the columns of labels, paths, splits and groups, and where the images are.

    Args:
        roles: the columns.
        labels: the label map.
        patterns: what precedes and follows the paths of the list in keys.
        multi_label: whether an image may have any number of labels.
    """
    parts = [f"{_describe_labels(roles, multi_label)}, {pluralize(len(labels), 'class')}"]
    shown = [
        f"`{escape_for_display(before)}<{escape_for_display(roles.path)}>{escape_for_display(after)}`"
        for before, after in dict.fromkeys(patterns)
    ] or [f"`<{escape_for_display(roles.path)}>`"]
    more = ", …" * (len(shown) > _SHOWN_PATTERNS)
    parts.append(f"images {', '.join(shown[:_SHOWN_PATTERNS])}{more}")
    parts += [
        f"{plural(role)} from column `{escape_for_display(column)}`"
        for role, column in (
            ("split", roles.split),
            ("group", roles.group),
            ("target", roles.target),
        )
        if column is not None
    ]
    if roles.kept:
        parts.append(f"keeps {pluralize(len(roles.kept), 'column')}: {show_names(roles.kept)}")
    return "; ".join(parts)


def _describe_labels(roles: Roles, multi_label: bool) -> str:
    if roles.has_class_folders:
        return "labels from the folders of the paths"
    if not roles.labels:
        return "no column of labels"
    source = (
        pluralize(len(roles.labels), f"{'multi' if multi_label else 'one'}-hot column")
        if roles.is_one_hot
        else f"column `{escape_for_display(roles.labels[0])}`"
    )
    return f"{'any number of labels' if multi_label else 'labels'} from {source}"


def describe_ignored(lists: Iterable[Roles]) -> list[str]:
    """Return a note that names the columns of lists that are not used, if there are any."""
    names = tuple(dict.fromkeys(name for roles in lists for name in roles.ignored))
    if not names:
        return []
    hint = "--keep-columns all keeps them"
    return [f"columns of the list that are not used: {show_names(names)} ({hint})"]
