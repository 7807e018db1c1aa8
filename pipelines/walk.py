"""Every file below a source folder, local or behind a URL, with its size and modification stamp.

Hidden files and what systems leave behind are counted, not listed. Links that lead out of the
source are told apart, a loop of links ends, and names stay the bytes that the file system has.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from records.errors import NoInputError, StorageError
from records.storage_fsspec import FsspecStorage
from records.text import printable

_SYSTEM_NAMES = {
    b"thumbs.db",
    b"ehthumbs.db",
    b"desktop.ini",
    b"icon\r",
    b"__macosx",
    b"$recycle.bin",
    b"system volume information",
    b"@eadir",
}


class FoundFile(msgspec.Struct, frozen=True, gc=False):
    """A file below the source: its key, its size, and what changes when it is rewritten.

    `stamp` is the modification time in nanoseconds, or the ETag, of the store.
    """

    key: bytes
    size_bytes: int
    stamp: int | str


@dataclass
class Found:
    """What a walk came upon; `folders` are those not deeper than two."""

    files: list[FoundFile] = field(default_factory=list)
    folders: list[bytes] = field(default_factory=list)
    skipped: int = 0
    broken_links: list[bytes] = field(default_factory=list)
    outside_links: list[bytes] = field(default_factory=list)


def is_hidden(name: bytes) -> bool:
    """Whether a file or folder of this name is hidden or a system's own."""
    return name.startswith(b".") or name.lower() in _SYSTEM_NAMES


def walk_local(root: bytes, *, follow_symlinks: bool) -> Found:
    """All that lies below a local folder, in any order.

    Raises:
        NoInputError: there is no such folder.
        StorageError: a folder in it cannot be listed.
    """
    return _LocalWalk(root, follow_symlinks).run()


def walk_remote(storage: FsspecStorage) -> Found:
    """All that lies below a URL, in any order. Raises as `walk_local`."""
    found = Found()
    folders: set[bytes] = set()
    for name, facts in storage.list_facts():
        key = name.encode("utf-8", "surrogateescape")
        parts = key.split(b"/")
        if any(map(is_hidden, parts)):
            found.skipped += 1
            continue
        folders.update(b"/".join(parts[:depth]) for depth in (1, 2) if depth < len(parts))
        found.files.append(FoundFile(key, facts.size_bytes, facts.etag or ""))
    found.folders = sorted(folders)
    if not found.files and not found.skipped:
        raise NoInputError("there are no files here", path=storage.url)
    return found


class _LocalWalk:
    """One walk over a local folder; what it finds gathers in `found`."""

    def __init__(self, root: bytes, follow_symlinks: bool) -> None:
        self.root = root
        self.real_root = os.path.realpath(root)
        self.follow_symlinks = follow_symlinks
        self.found = Found()

    def run(self) -> Found:
        self._walk(b"", (self.real_root,), hidden=False)
        return self.found

    def _walk(self, folder: bytes, real_path: tuple[bytes, ...], *, hidden: bool) -> None:
        """`real_path` holds the real paths of the folder and of all that lead to it."""
        for entry in self._entries(folder):
            key = folder + b"/" + entry.name if folder else entry.name
            skipped = hidden or is_hidden(entry.name)
            if entry.is_symlink():
                self._visit_link(key, entry, real_path, hidden=skipped)
            elif entry.is_dir(follow_symlinks=False):
                real = real_path[-1] + b"/" + entry.name
                self._enter(key, (*real_path, real), hidden=skipped)
            else:
                self._visit_file(key, entry.stat(follow_symlinks=False), hidden=skipped)

    def _entries(self, folder: bytes) -> Iterator[os.DirEntry[bytes]]:
        path = os.path.join(self.root, folder) if folder else self.root  # noqa: PTH118 - bytes
        try:
            with os.scandir(path) as entries:
                yield from entries
        except FileNotFoundError as error:
            raise NoInputError("there is no such folder", path=_shown(path)) from error
        except OSError as error:
            raise StorageError(
                "a folder cannot be listed",
                path=_shown(path),
                got=os.strerror(error.errno or 0),
                hint="make it readable, or move it out of the source",
            ) from error

    def _enter(self, key: bytes, real_path: tuple[bytes, ...], *, hidden: bool) -> None:
        if not hidden and key.count(b"/") < 2:
            self.found.folders.append(key)
        self._walk(key, real_path, hidden=hidden)

    def _visit_file(self, key: bytes, status: os.stat_result, *, hidden: bool) -> None:
        if hidden or not stat.S_ISREG(status.st_mode):
            self.found.skipped += 1
        else:
            self.found.files.append(FoundFile(key, status.st_size, status.st_mtime_ns))

    def _visit_link(
        self,
        key: bytes,
        entry: os.DirEntry[bytes],
        real_path: tuple[bytes, ...],
        *,
        hidden: bool,
    ) -> None:
        real = os.path.realpath(os.path.join(self.root, key))  # noqa: PTH118 - bytes
        inside = real == self.real_root or real.startswith(self.real_root + b"/")
        try:
            status = entry.stat()
        except OSError:  # leads nowhere, or in a circle
            if hidden:
                self.found.skipped += 1
            else:
                self.found.broken_links.append(key)
            return
        if hidden:
            self.found.skipped += 1
        elif not inside and not self.follow_symlinks:
            self.found.outside_links.append(key)
        elif not stat.S_ISDIR(status.st_mode):
            self._visit_file(key, status, hidden=hidden)
        elif self.follow_symlinks and real not in real_path:
            self._enter(key, (*real_path, real), hidden=hidden)
        else:
            # A folder inside the source is found at its own place: twice would be twice the images.
            self.found.skipped += 1


def _shown(path: bytes) -> str:
    return printable(os.fsdecode(path))
