"""Checks of source and output paths, before anything in them is read."""

from __future__ import annotations

import os

from pipelines.sources.containers import locate_source
from pipelines.sources.containers.kinds import SUFFIXES, suffix_of
from records.errors import InputNotFoundError, OutputError, UsageError
from records.generations import require_whole_dataset
from records.storage import is_url, local_path, open_storage
from records.storage.exclusive import require_outside
from records.text.escaping import escape_for_display

_LISTS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")


def check_locations(source: str, output: str) -> None:
    """Check the source, and that the output is absent or a separate folder.

    Raises:
        UsageError: a path is invalid, the source is a file but no container, or the output is in
            the source.
        InputNotFoundError: the source is a local path and does not exist.
        OutputError: the output is a file.
    """
    _check_path("source", source)
    located = locate_source(source)
    if not located.is_pattern and (source_path := _local_path(source)) is not None:
        _check_source(source_path)
    check_output(output)
    if located.name is None:
        require_outside(output, source, what="source")


def check_output(output: str) -> None:
    """Check that the path of an output is valid, and that the output is absent or a folder.

    Raises:
        UsageError: the path is invalid, or names a generation of a dataset, such as `data@3`.
        OutputError: the output is a file.
    """
    _check_path("output", output)
    require_whole_dataset(output)
    output_path = _local_path(output)
    if output_path is not None and os.path.isfile(output_path):  # noqa: PTH113 - may be any bytes
        raise OutputError(
            "the output is a file",
            path=escape_for_display(output),
            hint="choose a folder; it need not exist",
        )


def _check_path(name: str, location: str) -> None:
    if not location or "\0" in location:
        raise UsageError(f"the {name} is not a valid path", got=repr(location))
    if is_url(location):
        open_storage(location)  # raises if a package is missing, or the URL contains a password


def _local_path(location: str) -> str | None:
    """Return the real path of a local folder, None for a URL."""
    path = local_path(location)
    return None if path is None else os.path.realpath(path)


def _check_source(path: str) -> None:
    if not os.path.exists(path):  # noqa: PTH110
        raise InputNotFoundError("folder not found", path=escape_for_display(path))
    if not os.path.isdir(path) and suffix_of(os.path.basename(path)) is None:  # noqa: PTH112, PTH119
        raise UsageError(
            "the source is a file, but not a container of a known format",
            path=escape_for_display(path),
            expected=f"a folder with one folder per class, or a file: {', '.join(SUFFIXES)}",
            hint=_hint_of_file(path),
        )


def _hint_of_file(path: str) -> str:
    name = os.path.basename(path)  # noqa: PTH119
    if name.lower().endswith(_LISTS):
        shown = escape_for_display(path)
        return f"if it is a list of images: shardmill convert FOLDER OUTPUT --list {shown}"
    return "if it is an archive, extract it with its own program, and convert the folder"
