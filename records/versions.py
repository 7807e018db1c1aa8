"""Small files that are changed only by who knows their present version."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from records.errors import BusyError


class ChangedError(Exception):
    """A file is not, or no longer, of the version that was to be replaced."""


class Seen(NamedTuple):
    """A small file: its content, the tag of this version, its age if the store tells it."""

    content: bytes
    tag: str
    age_seconds: float | None


class VersionedStore(Protocol):
    """Storage that changes a small file only for who knows its present version."""

    url: str

    def describe(self, name: str) -> str:
        """The URL of a file, to show."""

    def put_new(self, name: str, data: bytes) -> str:
        """Create a file; its tag. Raises FileExistsError where there is one."""

    def put_over(self, name: str, data: bytes, tag: str) -> str:
        """Replace the version of a tag; the new one's. Raises ChangedError where it is another."""

    def look(self, name: str) -> Seen | None:
        """A file, None where there is none."""

    def remove_version(self, name: str, tag: str) -> None:
        """Remove the version of a tag; where it is another, nothing."""


def exchange(store: VersionedStore, name: str, old: bytes, new: bytes) -> None:
    """Replace a file that holds `old`.

    Raises:
        BusyError: it holds something else by now.
        TargetError: it cannot be written.
        StorageError: storage failed after retries.
    """
    seen = store.look(name)
    if seen is None or seen.content != old:
        raise taken_over(store.describe(name))
    try:
        store.put_over(name, new, seen.tag)
    except ChangedError as error:
        # The answer to our write may have been lost.
        seen = store.look(name)
        if seen is None or seen.content != new:
            raise taken_over(store.describe(name)) from error


def taken_over(path: str) -> BusyError:
    """What is told of a file that another run has replaced."""
    return BusyError(
        "another run has replaced this file since it was looked at",
        path=path,
        hint="run the same command again",
    )
