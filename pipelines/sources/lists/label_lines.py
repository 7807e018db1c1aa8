"""Lists that contain only labels, in the order of the image names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipelines.options import ConvertOptions
from pipelines.sources.cells import Row
from pipelines.sources.column_names import ALIASES, plain_name
from pipelines.sources.lists.kept_columns import is_quantity
from pipelines.sources.lists.table import ListTable, is_image_path
from pipelines.sources.reader import SourceFiles
from records.errors import UsageError
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text

_PATH, _LABEL = "path", "label"
_NUMBER = re.compile(rb"(\d+)")
_LEAST_LABELS = 20
_SHOWN_CHARACTERS = 80


def has_only_labels(table: ListTable, options: ConvertOptions) -> bool:
    """Return whether a list has one column, and this column does not contain paths."""
    if len(table.columns) != 1 or options.path_column is not None:
        return False
    (name,) = table.columns
    is_path = any(plain_name(name) in names for names in ALIASES["path"])
    values = [str(row.get(name, "")) for _, row in table.rows()]
    return not is_path and bool(values) and not is_image_path(values[0]) and not _are_ids(values)


def _are_ids(values: Sequence[str]) -> bool:
    """Return whether texts are paths without extensions, as in `train.txt` of Food-101."""
    return all("/" in value for value in values) and len(set(values)) == len(values)


def add_paths(
    table: ListTable, options: ConvertOptions, folder: str, files: SourceFiles
) -> ListTable:
    """Return a list of labels with the paths of all images, in the order of their names.

    Args:
        table: the list, with one column.
        options: whether links are followed.
        folder: the folder below the source that contains the images.
        files: the source.

    Raises:
        UsageError: there are not as many labels as images, most images have different labels,
            or the order of the names is ambiguous.
    """
    (name,) = table.columns
    labels = [(number, row.get(name, "")) for number, row in table.rows()]
    keys = _list_images(options, folder, files)
    is_known = any(plain_name(name) in names for names in ALIASES["label"])
    if table.has_header and not is_known and len(labels) != len(keys):
        labels.insert(0, (labels[0][0] - 1, name))  # the first line is a label, too
    if len(labels) != len(keys):
        raise UsageError(
            "the list has labels but no paths, and not one label per image",
            path=table.path,
            expected=pluralize(len(keys), "label"),
            got=pluralize(len(labels), "label"),
            hint="add a column `path` with the path of each image",
        )
    if options.label_column is None:
        require_classes(
            [str(label) for _, label in labels],
            table.path,
            "write the list as CSV, with a column `path` and a column `label`; or pass"
            " --label-column label if each line is a class",
        )

    def rows() -> Iterator[tuple[int, Row]]:
        for (number, label), key in zip(labels, keys, strict=True):
            yield number, {_PATH: key.decode("utf-8", "surrogateescape"), _LABEL: label}

    return table._replace(columns=(_PATH, _LABEL), rows=rows, has_header=True)


def require_classes(labels: Sequence[str], path: str, hint: str) -> None:
    """Raise UsageError if labels are not classes, because most images have different ones.

    Args:
        labels: the label of each image, from a column whose name is not that of a label.
        path: the path of the list, for messages.
        hint: what to do.
    """
    texts = set(labels)
    if len(labels) >= _LEAST_LABELS and len(texts) > len(labels) / 2 and not is_quantity(texts):
        raise UsageError(
            "most images have different labels, so the labels are not classes",
            path=path,
            got=f"{pluralize(len(texts), 'label')} of {pluralize(len(labels), 'image')}, such as "
            f"{escape_for_display(labels[0][:_SHOWN_CHARACTERS])}",
            hint=hint,
        )


def _list_images(options: ConvertOptions, folder: str, files: SourceFiles) -> list[bytes]:
    """Return the keys of all images in order. Raises UsageError if the order is ambiguous."""
    below = f"{folder}/".encode() if folder else b""
    listing = files.walk(follow_symlinks=options.follow_symlinks)
    keys = sorted(
        file.key
        for file in listing.files
        if file.key.startswith(below) and is_image_path(key_to_text(file.key))
    )
    for key, other in zip(keys, sorted(keys, key=_natural_order), strict=True):
        if key != other:
            first, second = (escape_for_display(key_to_text(it)) for it in (key, other))
            raise UsageError(
                "the list has labels but no paths, and the order of the images is ambiguous",
                path=escape_for_display(options.source),
                expected="names whose numbers have the same number of digits",
                got=f"{first}, which may be after {second}",
                hint="add a column `path` with the path of each image to the list",
            )
    return keys


def _natural_order(key: bytes) -> list[tuple[int, bytes]]:
    """Return the sort key of a name in which numbers are ordered by value."""
    parts = [part.lstrip(b"0") if part.isdigit() else part for part in _NUMBER.split(key)]
    return [(len(part) * (number % 2), part) for number, part in enumerate(parts)]
