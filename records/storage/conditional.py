"""Small files that are changed only by who knows their present version."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from records.errors import LockedError


class PreconditionFailedError(Exception):
    """A file is not, or no longer, of the version that was to be replaced."""


class VersionedObject(NamedTuple):
    """A small file: its content, the tag of this version, its age if the store tells it."""

    content: bytes
    tag: str
    age_seconds: float | None


class ConditionalStore(Protocol):
    """Storage that changes a small file only for who knows its present version."""

    url: str

    def display_name(self, name: str) -> str:
        """The URL of a file, to show."""

    def put_if_absent(self, name: str, data: bytes) -> str:
        """Create a file; its tag. Raises FileExistsError where there is one."""

    def put_if_match(self, name: str, data: bytes, tag: str) -> str:
        """Replace the version of a tag; the new one's. Raises PreconditionFailedError where it is another."""

    def get(self, name: str) -> VersionedObject | None:
        """A file, None where there is none."""

    def delete_if_match(self, name: str, tag: str) -> None:
        """Remove the version of a tag; where it is another, nothing."""


def compare_and_swap(store: ConditionalStore, name: str, old: bytes, new: bytes) -> None:
    """Replace a file that holds `old`.

    Raises:
        LockedError: it holds something else by now.
        OutputError: it cannot be written.
        StorageError: storage failed after retries.
    """
    seen = store.get(name)
    if seen is None or seen.content != old:
        raise replaced_by_other_run(store.display_name(name))
    try:
        store.put_if_match(name, new, seen.tag)
    except PreconditionFailedError as error:
        # The answer to our write may have been lost.
        seen = store.get(name)
        if seen is None or seen.content != new:
            raise replaced_by_other_run(store.display_name(name)) from error


def replaced_by_other_run(path: str) -> LockedError:
    """What is told of a file that another run has replaced."""
    return LockedError(
        "another run has replaced this file since it was looked at",
        path=path,
        hint="run the same command again",
    )
