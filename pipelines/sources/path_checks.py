"""Whether source and output can be what they are said to be, before anything in them is read."""

from __future__ import annotations

import os

from records.errors import InputNotFoundError, OutputError, UsageError
from records.storage import is_url, local_path, open_storage, redact_url
from records.text.escaping import escape_for_display

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def check_locations(source: str, output: str) -> None:
    """Refuse a source that is no folder, and an output that is none or lies in the source.

    Raises:
        UsageError: one is not what it must be.
        InputNotFoundError: the source is a local path where nothing is.
        OutputError: the output is a file.
    """
    for name, location in (("source", source), ("output", output)):
        if not location or "\0" in location:
            raise UsageError(f"the {name} is no path", got=repr(location))
        if is_url(location):
            open_storage(location)  # it may need a package, or have a password in it
    source_path, output_path = _local_path(source), _local_path(output)
    if source_path is not None:
        _check_source(source_path)
    if output_path is not None and os.path.isfile(output_path):  # noqa: PTH113 - may be any bytes
        raise OutputError(
            "the output is a file",
            path=escape_for_display(output),
            hint="name a folder, there or not",
        )
    _check_apart(source_path or source, output_path or output)


def _local_path(location: str) -> str | None:
    """The real path of a local folder, None for a URL."""
    path = local_path(location)
    return None if path is None else os.path.realpath(path)


def _check_source(path: str) -> None:
    if not os.path.exists(path):  # noqa: PTH110
        raise InputNotFoundError("there is no such folder", path=escape_for_display(path))
    if not os.path.isdir(path):  # noqa: PTH112
        raise UsageError(
            "the source is a file, not a folder",
            path=escape_for_display(path),
            hint="unpack the archive first"
            if path.lower().endswith(_ARCHIVES)
            else "name the folder that has a folder a class in it",
        )


def _check_apart(source: str, output: str) -> None:
    source, output = source.rstrip("/") + "/", output.rstrip("/") + "/"
    if output.startswith(source):
        raise UsageError(
            "source and output are the same folder"
            if source == output
            else "the output lies inside the source",
            path=escape_for_display(redact_url(output)),
            hint="choose an output beside it",
        )
