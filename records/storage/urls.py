"""Locations: local paths and URLs, parsed and joined."""

from __future__ import annotations

import os
from urllib.parse import unquote

from records.text.urls import without_query


def scheme_of(location: str) -> str:
    """Return the scheme of a URL in lower case; an empty string for a path."""
    scheme, separator, _ = location.partition("://")
    is_scheme = bool(separator) and scheme.replace("+", "").replace("-", "").isalnum()
    return scheme.lower() if is_scheme else ""


def is_url(location: str) -> bool:
    """Return whether a location is a URL rather than a path."""
    return bool(scheme_of(location))


def is_in_memory(location: str | None) -> bool:
    """Return whether a location is in the memory of this process, unseen by others."""
    return location is not None and scheme_of(location) == "memory"


def local_path(location: str) -> str | None:
    """Return the local path of a path or `file://` URL; None for any other URL."""
    scheme = scheme_of(location)
    if not scheme:
        return location
    if scheme != "file":
        return None
    _, slash, path = without_query(location).partition("://")[2].partition("/")
    return unquote(slash + path)


def absolute_location(location: str) -> str:
    """Return a location that is valid in all processes: a URL or an absolute path."""
    return location if is_url(location) else os.path.realpath(location)


def split_location(location: str) -> tuple[str, str]:
    """Return the folder (for `open_storage`) and the file name (for `read`) of a path or URL."""
    folder, separator, name = location.rpartition("/")
    if not separator:
        return ".", location
    return folder or "/", name


def join_location(folder: str, name: str) -> str:
    """Return the location of a file in a folder; the folder itself for an empty name."""
    return f"{folder}/{name}" if name else folder
