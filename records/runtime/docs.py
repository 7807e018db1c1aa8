"""Addresses of the pages of the documentation, for messages."""

from __future__ import annotations

_SITE = "https://shardmill.github.io/shardmill"


def docs_page(name: str) -> str:
    """Return the URL of a page, such as `how-to/beam-runners`: a wheel contains no pages."""
    return f"{_SITE}/{name}/"
