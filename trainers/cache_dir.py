"""Folder of the caches: features and decoded images."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir(kind: str) -> Path:
    """Return a folder for one kind of cache, in `$XDG_CACHE_HOME/shardmill` or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shardmill" / kind
