"""Groups of images that stay in one split: `--group-by`."""

from __future__ import annotations

import posixpath
import re

from records.text.keys import key_to_text


class GroupKey:
    """The group of a key under `--group-by`: its folder, or the part that a regex matches."""

    def __init__(self, group_by: str | None) -> None:
        self._by_parent = group_by == "parent"
        self._pattern = None if group_by in {None, "parent"} else re.compile(str(group_by))

    def __call__(self, key: bytes) -> bytes | None:
        """Return the group of a key; None if the key belongs to no group."""
        if self._by_parent:
            return posixpath.dirname(key)
        match = self._pattern.search(key_to_text(key)) if self._pattern else None
        if match is None:
            return None
        group = match[1] if match.re.groups and match[1] is not None else match[0]
        return group.encode() or None
