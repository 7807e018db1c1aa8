"""Adjacent entries of one archive, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from pipelines.sources.cells import Row
from pipelines.sources.containers.entry import Entry, Label, is_image_name, name_problem
from pipelines.sources.containers.kinds import suffix_of
from pipelines.sources.walk import ListedFile, Listing, first_hidden, hidden_reason
from records.format.layout import SplitName
from records.format.skipped import Reason


class Given(NamedTuple):
    """What a container gives a file.

    Attributes:
        label: the label or the labels, or the number of a class; None if it gives none.
        split: the split; None if it gives none.
        fields: the values of the columns and fields to keep, by name.
        class_columns: the columns of classes from which the labels come; empty if they do not.
        problem: the reason why the labels of the file are unknown; None if they are known.
    """

    label: Label | None
    split: SplitName | None
    fields: Row
    class_columns: tuple[str, ...] = ()
    problem: str | None = None


_MOST_DEPTH = 3
"""Folders of the two top levels are listed, and one level may be removed from the front."""


@dataclass
class Part:
    """Adjacent entries of one archive.

    Attributes:
        container: number of the container.
        split: folder of the split of the container; empty if it stands for none.
        name: folder of all members if an image is in no folder; empty for none.
        given: label, split and fields of each regular file that is neither hidden nor a system
            file.
        folders: folders of the top levels, also those that only occur in paths.
        refused: entries that are not read, with the reason.
        hidden_folders: hidden folders, with a slash at their end.
        heads: the first bytes of members, by the encoded member.
        archives: number of files that are archives.
        tops: the first two top folders of images, and `b""` if an image is in no folder.
        is_deep: whether each image is in a folder of a top folder.
    """

    container: int
    split: bytes
    name: bytes
    given: list[Given] = field(default_factory=list)
    folders: set[bytes] = field(default_factory=set)
    refused: list[tuple[bytes, str]] = field(default_factory=list)
    hidden_folders: set[bytes] = field(default_factory=set)
    heads: dict[bytes, bytes] = field(default_factory=dict)
    archives: int = 0
    tops: set[bytes] = field(default_factory=set)
    is_deep: bool = True

    def add(self, entry: Entry, listing: Listing) -> None:
        """Add an entry, and its file to the listing."""
        key = entry.key
        is_folder = entry.member is None and entry.refused is None
        path = key + b"/" if is_folder else key
        hidden = _first_hidden(path) if name_problem(key) is None else None
        if hidden is not None:
            # A hidden folder is one file that is skipped, as in a walk over folders.
            if hidden[0] not in self.hidden_folders:
                listing.skipped.add(*hidden)
            if hidden[0].endswith(b"/"):
                self.hidden_folders.add(hidden[0])
        elif entry.refused is not None:
            self.refused.append((key, entry.refused))
        elif entry.member is None:
            self._add_folders(key)
        else:
            self._add_file(key)
            self.given.append(
                Given(entry.label, entry.split, entry.fields, entry.class_columns, entry.problem)
            )
            member = entry.member.encode()
            if entry.head:
                self.heads[member] = entry.head
            listing.files.append(
                ListedFile(key, entry.size_bytes, entry.fingerprint, member=member)
            )

    def _add_file(self, key: bytes) -> None:
        folder = key.rpartition(b"/")[0]
        if folder and folder not in self.folders:
            self._add_folders(folder)
        if is_image_name(key):
            self.is_deep &= b"/" in folder
            if len(self.tops) < 2 or not folder:
                self.tops.add(folder.partition(b"/")[0])
        else:
            self.archives += suffix_of(key) is not None

    def _add_folders(self, folder: bytes) -> None:
        parts = folder.split(b"/")
        for depth in range(1, min(len(parts), _MOST_DEPTH) + 1):
            self.folders.add(b"/".join(parts[:depth]))


def _first_hidden(path: bytes) -> tuple[bytes, Reason] | None:
    """Return the first hidden part of a path; a folder has a slash at its end."""
    folder, _, name = path.rpartition(b"/")
    if folder and (found := _first_hidden_folder(folder)) is not None:
        return found
    reason = hidden_reason(name)
    return None if reason is None else (path, reason)


@lru_cache(maxsize=1024)  # most files are in a folder of an earlier one
def _first_hidden_folder(folder: bytes) -> tuple[bytes, Reason] | None:
    return first_hidden([*folder.split(b"/"), b""])
