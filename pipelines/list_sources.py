"""Sources from a list: a row says which file has which label."""

from __future__ import annotations

import os

from pipelines.classes import labels_by_name, number_names
from pipelines.lists import ListedImage, read_list
from pipelines.options import ConvertOptions
from pipelines.source_files import SourceFiles, open_file, open_source
from pipelines.sources import Choice, Grouping, SourceImage, Sources
from pipelines.walk import FoundFile
from records.errors import NoInputError, UsageError
from records.index import Reject
from records.text import key_to_text


def find_in_list(options: ConvertOptions, choice: Choice) -> Sources:
    """Read the list and look for its files. Raises as `find_sources`."""
    path = str(options.list)
    rows = list(read_list(path, options.source, allow_url=options.allow_url))
    if not rows:
        raise NoInputError("the list is empty", path=path)
    if any(row.group for row in rows):
        _refuse_counts(options)
    names = number_names((row.label for row in rows if row.label), source=path)
    labels = choice.labels(names.values(), source=path)
    numbers = labels_by_name(labels)
    sources = Sources(labels, None)
    group_of = Grouping(options.group_by)
    files = open_source(options.source)
    for row in rows:
        if row.key in choice.excluded or (row.label and names[row.label] not in numbers):
            sources.exclude(by_key=row.key in choice.excluded)
            continue
        file = _find(row, files, follow_symlinks=options.follow_symlinks)
        if file is None or not row.label:
            sources.rejects.append(_reject(row, file))
            continue
        group = os.fsencode(row.group) if row.group else group_of(row.key)
        label = numbers[names[row.label]]
        sources.add(
            SourceImage(row.key, label, file.size_bytes, file.stamp, row.split, group, row.url)
        )
    return sources


def _refuse_counts(options: ConvertOptions) -> None:
    counts = isinstance(options.test, int) or isinstance(options.validation, int)
    if counts or options.stratify:
        raise UsageError(
            "a list with groups cannot go with exact counts or --stratify: groups stay whole",
            path=str(options.list),
            hint="use fractions: --test 0.2",
        )


def _find(row: ListedImage, files: SourceFiles, *, follow_symlinks: bool) -> FoundFile | None:
    if row.url is None:
        return files.find(row.key, follow_symlinks=follow_symlinks)
    folder, name = open_file(row.url)
    return folder.find(name, follow_symlinks=True)


def _reject(row: ListedImage, file: FoundFile | None) -> Reject:
    key = key_to_text(row.key)
    if file is None:
        return Reject(key, row.label or None, "unreadable", "no such file", 0)
    return Reject(key, None, "no-class", "no label in the list", file.size_bytes)
