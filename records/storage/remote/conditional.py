"""Conditional writes, which replace only an expected version of a small file.

A file that was just read is replaced with the tag of that version, and is not read again.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import NamedTuple, Protocol

import xxhash

from records.storage.errors import replaced_by_other_run

_MOST_TAGS = 64


class PreconditionFailedError(Exception):
    """The file does not have the expected version."""


class VersionedObject(NamedTuple):
    """The content of a small file, its ETag, and its age if the store reports the age."""

    content: bytes
    tag: str
    age_seconds: float | None


class ConditionalStore(Protocol):
    """Storage with writes that are conditional on the version of a file."""

    url: str

    def display_name(self, name: str) -> str:
        """Return the URL of a file for messages."""

    def put_if_absent(self, name: str, data: bytes) -> str:
        """Create a file and return its tag. Raises FileExistsError if the file exists."""

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        """Replace a file if its version has this tag, and return the new tag.

        Raises:
            PreconditionFailedError: the file does not exist, or its version has a different tag.
        """

    def get(self, name: str) -> VersionedObject | None:
        """Return a file; None if it does not exist."""

    def delete_if_match(self, name: str, tag: str) -> None:
        """Remove the file if its version has this tag."""


def compare_and_swap(
    store: ConditionalStore, name: str, old: bytes, new: bytes, *, tag: str | None = None
) -> None:
    """Replace a file if its content is `old`.

    Args:
        store: the store.
        name: the name of the file.
        old: its content.
        new: its new content.
        tag: the tag of a version with the content `old`; by default, the file is read.

    Raises:
        LockedError: the content has changed.
        OutputError: the file cannot be written.
        StorageError: storage failed after retries.
    """
    if tag is None:
        current = store.get(name)
        if current is None or current.content != old:
            raise replaced_by_other_run(store.display_name(name))
        tag = current.tag
    try:
        store.put_if_match(name, new, tag)
    except PreconditionFailedError as error:
        # The response to a write of this process may have been lost.
        current = store.get(name)
        if current is None or current.content != new:
            raise replaced_by_other_run(store.display_name(name)) from error


class ReadTags:
    """The tags of the files that were read last, for `compare_and_swap`; any thread may use it."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, tuple[bytes, str]] = OrderedDict()

    def remember(self, name: str, found: VersionedObject) -> None:
        """Remember the tag of a file that was read, and forget that of the oldest read."""
        self._found.pop(name, None)
        self._found[name] = (xxhash.xxh3_128_digest(found.content), found.tag)
        if len(self._found) > _MOST_TAGS:
            with suppress(KeyError):  # another thread has removed it
                self._found.popitem(last=False)

    def find(self, name: str, content: bytes) -> str | None:
        """Return the tag of the version of a file that was read; None if it had other content."""
        digest, tag = self._found.pop(name, (b"", ""))
        return tag if digest == xxhash.xxh3_128_digest(content) else None
