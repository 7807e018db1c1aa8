"""Locations: local paths and URLs, parsed, joined, redacted."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit, urlunsplit


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
    return unquote(urlsplit(location).path) if scheme == "file" else None


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


def without_user(location: str) -> str:
    """Return a path unchanged, and a URL without its user name and password."""
    scheme, separator, rest = location.partition("://")
    if not separator:
        return location
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def redact_url(url: str) -> str:
    """Return a URL without its user name, password and query, which may contain credentials."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
