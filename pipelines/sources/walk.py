"""Every file below a source folder, local or behind a URL, with its size and modification stamp.

Hidden files and what systems leave behind are counted, not listed. Links that lead out of the
source are told apart, and names stay the bytes that the file system has. Where links are followed
every folder is walked once, so loops end and no image is found twice by way of a folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

import msgspec
import pyarrow as pa
import xxhash

from records.errors import InputNotFoundError, StorageError
from records.runtime.parallel_map import parallel_map_if_blocking
from records.runtime.row_table import RowTable
from records.storage import FileInfo, RemoteStorage
from records.text.escaping import escape_for_display

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


_Entry = os.DirEntry[bytes]
_CHUNK_ENTRIES = 256
_THREADS = 16


class ListedFile(msgspec.Struct, frozen=True, gc=False):
    """A file below the source: its key, its size, and what changes when it is rewritten.

    `stamp` is the modification time in nanoseconds or a hash of the ETag, as a uint64.
    """

    key: bytes
    size_bytes: int
    stamp: int


_COLUMNS = pa.schema({"key": pa.large_binary(), "size_bytes": pa.int64(), "stamp": pa.uint64()})


def pack_files(files: Iterable[ListedFile] = ()) -> RowTable[ListedFile]:
    """Files as `Listing` keeps them."""
    return RowTable(ListedFile, _COLUMNS, files)


def local_file(key: bytes, status: os.stat_result) -> ListedFile:
    """A file of a local folder."""
    return ListedFile(key, status.st_size, status.st_mtime_ns % (1 << 64))


def remote_file(key: bytes, facts: FileInfo) -> ListedFile:
    """A file behind a URL."""
    etag = (facts.etag or "").encode()
    return ListedFile(key, facts.size_bytes, xxhash.xxh3_64_intdigest(etag))


@dataclass
class Listing:
    """What a walk came upon; `folders` are those not deeper than two."""

    files: RowTable[ListedFile] = field(default_factory=pack_files)
    folders: list[bytes] = field(default_factory=list)
    skipped: int = 0
    broken_links: list[bytes] = field(default_factory=list)
    escaping_links: list[bytes] = field(default_factory=list)


def is_hidden(name: bytes) -> bool:
    """Whether a file or folder of this name is hidden or a system's own."""
    return name.startswith(b".") or name.lower() in _SYSTEM_NAMES


def walk_local(root: bytes, *, follow_symlinks: bool) -> Listing:
    """All that lies below a local folder, mostly in the order of keys.

    Raises:
        InputNotFoundError: there is no such folder.
        StorageError: a folder in it cannot be listed.
    """
    return _LocalWalk(root, follow_symlinks).run()


def walk_remote(storage: RemoteStorage) -> Listing:
    """All that lies below a URL, in any order. Raises as `walk_local`."""
    found = Listing()
    folders: set[bytes] = set()
    for name, facts in storage.list_info():
        key = name.encode("utf-8", "surrogateescape")
        parts = key.split(b"/")
        if any(map(is_hidden, parts)):
            found.skipped += 1
            continue
        folders.update(b"/".join(parts[:depth]) for depth in (1, 2) if depth < len(parts))
        found.files.append(remote_file(key, facts))
    found.folders = sorted(folders)
    return found


class _Folder(NamedTuple):
    """A folder to walk: its key, where it really lies, and whether it is in a hidden one."""

    key: bytes
    real: bytes
    hidden: bool


class _LocalWalk:
    """One walk over a local folder; what it finds gathers in `found`."""

    def __init__(self, root: bytes, follow_symlinks: bool) -> None:
        self.root = root.rstrip(b"/") + b"/"
        self.real_root = os.path.realpath(root).rstrip(b"/")
        self.follow_symlinks = follow_symlinks
        self.found = Listing()
        # Not by recursion: folders may lie deeper than Python's stack is.
        self._to_walk = [_Folder(b"", self.real_root, hidden=False)]
        self._walked: set[bytes] = set()

    def run(self) -> Listing:
        while self._to_walk:
            folder = self._to_walk.pop()
            if folder.real in self._walked:
                self.found.skipped += 1
                continue
            self._walked.add(folder.real)
            self._walk(folder)
        return self.found

    def _walk(self, folder: _Folder) -> None:
        waiting = len(self._to_walk)
        chunks = _chunks(self._entries(folder))
        for chunk in parallel_map_if_blocking(_prefetch_stat, chunks, threads=_THREADS):
            for entry in chunk:
                self._visit(folder, entry)
        # Of two links to one folder the first by name is followed, on every machine. The last on
        # the list is walked first; in the order of keys, so that they need no sorting.
        below = sorted(self._to_walk[waiting:], key=_first_key, reverse=True)
        self._to_walk[waiting:] = below

    def _entries(self, folder: _Folder) -> list[_Entry]:
        path = self.root + folder.key
        try:
            with os.scandir(path) as entries:
                return sorted(entries, key=attrgetter("name"))
        except OSError as error:
            if folder.hidden:
                self.found.skipped += 1
                return []
            if isinstance(error, FileNotFoundError) and not folder.key:
                raise InputNotFoundError("there is no such folder", path=_shown(path)) from error
            raise StorageError(
                "a folder cannot be listed",
                path=_shown(path),
                got=os.strerror(error.errno or 0),
                hint="make it readable, or move it out of the source",
            ) from error

    def _visit(self, folder: _Folder, entry: _Entry) -> None:
        key = folder.key + b"/" + entry.name if folder.key else entry.name
        hidden = folder.hidden or is_hidden(entry.name)
        if entry.is_dir(follow_symlinks=False):
            self._visit_folder(_Folder(key, folder.real + b"/" + entry.name, hidden))
        elif hidden:
            self.found.skipped += 1
        elif entry.is_symlink():
            self._visit_link(key, entry)
        else:
            # What cannot be looked at is listed all the same: reading it will say why.
            self._visit_file(key, _status(entry, follow_symlinks=False))

    def _visit_folder(self, folder: _Folder) -> None:
        through_link = folder.real != self.real_root + b"/" + folder.key
        if through_link and self._is_inside(folder.real):
            self.found.skipped += 1  # it is found at its own place
            return
        if not folder.hidden and folder.key.count(b"/") < 2:
            self.found.folders.append(folder.key)
        self._to_walk.append(folder)

    def _visit_link(self, key: bytes, entry: _Entry) -> None:
        real = os.path.realpath(self.root + key)
        status = _status(entry, follow_symlinks=True)
        if status is None:  # leads nowhere, or in a circle
            self.found.broken_links.append(key)
        elif not self.follow_symlinks and not self._is_inside(real):
            self.found.escaping_links.append(key)
        elif stat.S_ISDIR(status.st_mode):
            self._visit_folder(_Folder(key, real, hidden=False))
        else:
            self._visit_file(key, status)

    def _visit_file(self, key: bytes, status: os.stat_result | None) -> None:
        if status is None:
            self.found.files.append(ListedFile(key, 0, 0))
        elif stat.S_ISREG(status.st_mode):
            self.found.files.append(local_file(key, status))
        else:
            self.found.skipped += 1

    def _is_inside(self, real: bytes) -> bool:
        return (real + b"/").startswith(self.real_root + b"/")


def _first_key(folder: _Folder) -> bytes:
    return folder.key + b"/"


def _chunks(entries: list[_Entry]) -> Iterator[list[_Entry]]:
    """Entries in their order, no longer held here: what a file system tells of one is half a kB."""
    entries.reverse()
    while entries:
        yield entries[: -_CHUNK_ENTRIES - 1 : -1]
        del entries[-_CHUNK_ENTRIES:]


def _prefetch_stat(entries: list[_Entry]) -> list[_Entry]:
    """Have the file system tell of each file, which an entry keeps: slow mounts take their time."""
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            _status(entry, follow_symlinks=False)
    return entries


def _status(entry: _Entry, *, follow_symlinks: bool) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=follow_symlinks)
    except OSError:
        return None


def _shown(path: bytes) -> str:
    return escape_for_display(os.fsdecode(path))
