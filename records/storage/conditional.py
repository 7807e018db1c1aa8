"""Conditional writes: a small file changes only if its version is known."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from records.errors import LockedError


class PreconditionFailedError(Exception):
    """The file does not have the expected version."""


class VersionedObject(NamedTuple):
    """The content of a small file, the ETag of this version, its age if the store reports it."""

    content: bytes
    tag: str
    age_seconds: float | None


class ConditionalStore(Protocol):
    """Storage that can write on condition of a file's version."""

    url: str

    def display_name(self, name: str) -> str:
        """Return the URL of a file for messages."""

    def put_if_absent(self, name: str, data: bytes) -> str:
        """Create a file; return its tag. Raises FileExistsError if the file exists."""

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        """Replace the version with this tag; return the new tag. Raises PreconditionFailedError."""

    def get(self, name: str) -> VersionedObject | None:
        """Return a file, None if it does not exist."""

    def delete_if_match(self, name: str, tag: str) -> None:
        """Remove the version with this tag; keep any other version."""


def compare_and_swap(store: ConditionalStore, name: str, old: bytes, new: bytes) -> None:
    """Replace a file whose content is `old`.

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


def replaced_by_other_run(path: str) -> LockedError:
    """Return the error for a file that another run has replaced."""
    return LockedError(
        "another run has replaced this file", path=path, hint="run the same command again"
    )
