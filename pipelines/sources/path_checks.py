"""Checks of source and output paths, before anything in them is read."""

from __future__ import annotations

import os

from records.errors import InputNotFoundError, OutputError, UsageError
from records.storage import is_url, local_path, open_storage
from records.storage.exclusive import require_outside
from records.text.escaping import escape_for_display

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def check_locations(source: str, output: str) -> None:
    """Check that the source is a folder, and that the output is absent or a separate folder.

    Raises:
        UsageError: a path is invalid, the source is a file, or the output is in the source.
        InputNotFoundError: the source is a local path and does not exist.
        OutputError: the output is a file.
    """
    for name, location in (("source", source), ("output", output)):
        if not location or "\0" in location:
            raise UsageError(f"the {name} is not a valid path", got=repr(location))
        if is_url(location):
            open_storage(location)  # raises if a package is missing, or the URL contains a password
    source_path, output_path = _local_path(source), _local_path(output)
    if source_path is not None:
        _check_source(source_path)
    if output_path is not None and os.path.isfile(output_path):  # noqa: PTH113 - may be any bytes
        raise OutputError(
            "the output is a file",
            path=escape_for_display(output),
            hint="choose a folder; it need not exist",
        )
    require_outside(output, source, what="source")


def _local_path(location: str) -> str | None:
    """Return the real path of a local folder, None for a URL."""
    path = local_path(location)
    return None if path is None else os.path.realpath(path)


def _check_source(path: str) -> None:
    if not os.path.exists(path):  # noqa: PTH110
        raise InputNotFoundError("folder not found", path=escape_for_display(path))
    if not os.path.isdir(path):  # noqa: PTH112
        raise UsageError(
            "the source is a file, not a folder",
            path=escape_for_display(path),
            hint="unpack the archive first"
            if path.lower().endswith(_ARCHIVES)
            else "choose the folder that contains one folder per class",
        )
