"""Removal of credentials from URLs."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^/\s]*@")
_QUERY = re.compile("[?#]")
_HTTP = re.compile("https?://")


def without_user(text: str) -> str:
    """Return text in which no URL has a user name or a password; a URL need not be valid."""
    return _USER.sub("", text)


def without_query(url: str) -> str:
    """Return a URL without its query and its fragment."""
    return _QUERY.split(url, maxsplit=1)[0]


def redact_url(url: str) -> str:
    """Return a path unchanged, and a URL without user name, password and query.

    These may be credentials. A URL may contain others: `zip://FOLDER::https://…`.
    """
    return without_user(without_query(url)) if "://" in url else url


def redact_location(location: str) -> str:
    """Return a path or URL for messages: as `redact_url`, but `?` is part of a name in a bucket."""
    has_query = _HTTP.search(location) is not None
    return redact_url(location) if has_query else without_user(location)
