"""Conditional writes, which replace only an expected version of a small file."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from records.storage.errors import replaced_by_other_run


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


def compare_and_swap(store: ConditionalStore, name: str, old: bytes, new: bytes) -> None:
    """Replace a file if its content is `old`.

    Raises:
        LockedError: the content has changed.
        OutputError: the file cannot be written.
        StorageError: storage failed after retries.
    """
    current = store.get(name)
    if current is None or current.content != old:
        raise replaced_by_other_run(store.display_name(name))
    try:
        store.put_if_match(name, new, current.tag)
    except PreconditionFailedError as error:
        # The response to a write of this process may have been lost.
        current = store.get(name)
        if current is None or current.content != new:
            raise replaced_by_other_run(store.display_name(name)) from error
