"""Recursive listing of a source folder, local or remote.

Hidden and system files are skipped; a hidden folder is one skipped file, and is not walked. Links
that lead out of the source are listed separately, and so are folders that cannot be listed. Keys
are the bytes of the file system. Every folder is walked once, even if links lead to it: loops end,
and no image is listed twice.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import msgspec
import pyarrow as pa
import xxhash

from pipelines.sources.local_errors import stat_entry
from records.errors import AccessDeniedError, InputNotFoundError, StorageError
from records.format.skipped import Reason, SkippedFiles
from records.runtime.parallel_map import parallel_map_if_blocking
from records.runtime.row_table import RowTable
from records.storage import FileInfo, RemoteStorage
from records.storage.names import has_unusual_name, is_system_name
from records.storage.untrusted_file import MAX_KEY_BYTES, UntrustedFolder
from records.text.escaping import escape_for_display

_FORBIDDEN = {errno.EACCES, errno.EPERM}
_NOT_LISTABLE = {
    errno.ENOTDIR: "the folder was replaced after it was listed",
    errno.ELOOP: "the folder was replaced after it was listed",
    errno.ENAMETOOLONG: f"the path of the folder is longer than {MAX_KEY_BYTES:,} bytes",
}

_Entry = os.DirEntry[str]
_NamedEntry = tuple[bytes, _Entry]
_StatEntry = tuple[bytes, _Entry, os.stat_result | None]
_CHUNK_ENTRIES = 256
_BUFFERED_FILES = 4096
_THREADS = 16


class ListedFile(msgspec.Struct, frozen=True, gc=False):
    """A file below the source.

    Attributes:
        key: path below the source, raw bytes.
        size_bytes: size of the file.
        fingerprint: modification time in nanoseconds, or xxh3-64 of the ETag; a uint64. It changes
            if the file is modified.
        linked: whether a part of its path is a symbolic link.
        member: the place of the file if it is a member of a container; see `Member`.
    """

    key: bytes
    size_bytes: int
    fingerprint: int
    linked: bool = False
    member: bytes | None = None


_COLUMNS = pa.schema(
    {
        "key": pa.large_binary(),
        "size_bytes": pa.int64(),
        "fingerprint": pa.uint64(),
        "linked": pa.bool_(),
        "member": pa.large_binary(),
    }
)


def new_file_table(files: Iterable[ListedFile] = ()) -> RowTable[ListedFile]:
    """Return a table of files, as `Listing` stores them."""
    return RowTable(ListedFile, _COLUMNS, files)


def local_file(key: bytes, status: os.stat_result, *, linked: bool) -> ListedFile:
    """Return the `ListedFile` of a local file."""
    return ListedFile(key, status.st_size, status.st_mtime_ns % (1 << 64), linked)


def remote_file(key: bytes, info: FileInfo) -> ListedFile:
    """Return the `ListedFile` of a remote file."""
    etag = (info.etag or "").encode()
    return ListedFile(key, info.size_bytes, xxhash.xxh3_64_intdigest(etag))


@dataclass
class Listing:
    """The result of a walk.

    Attributes:
        files: regular files that are neither hidden nor system files.
        folders: keys of the folders of the top two levels.
        skipped: hidden, system and special files, and folders that are not walked.
        broken_links: keys of broken symbolic links.
        escaping_links: keys of symbolic links that lead out of the source and are not followed.
        forbidden_folders: keys of folders that this user may not list.
        refused: invalid keys, and folders that cannot be listed, with the reason.
    """

    files: RowTable[ListedFile] = field(default_factory=new_file_table)
    folders: list[bytes] = field(default_factory=list)
    skipped: SkippedFiles = field(default_factory=SkippedFiles)
    broken_links: list[bytes] = field(default_factory=list)
    escaping_links: list[bytes] = field(default_factory=list)
    forbidden_folders: list[bytes] = field(default_factory=list)
    refused: list[tuple[bytes, str]] = field(default_factory=list)


def hidden_reason(name: bytes) -> Reason | None:
    """Return why a file or folder with this name is skipped; None if it is not."""
    if is_system_name(name):
        return "system"
    return "hidden" if name.startswith(b".") else None


def walk_local(root: bytes, *, follow_symlinks: bool) -> Listing:
    """List everything below a local folder, mostly in key order.

    Raises:
        InputNotFoundError: the folder does not exist.
        StorageError: the folder cannot be listed, or storage fails for a folder below it.
    """
    return _LocalWalk(root, follow_symlinks).run()


def walk_remote(storage: RemoteStorage) -> Listing:
    """List everything below a URL, in any order. Raises the errors of `walk_local`."""
    listing = Listing()
    folders: set[bytes] = set()
    hidden_folders: set[bytes] = set()
    for name, info in storage.list_info():
        key = name.encode("utf-8", "surrogateescape")
        parts = key.split(b"/")
        if (found := first_hidden(parts)) is not None:
            hidden, reason = found
            if hidden not in hidden_folders:
                listing.skipped.add(hidden, reason)
            if hidden.endswith(b"/"):
                hidden_folders.add(hidden)
            continue
        if key.endswith(b"/") or not key:  # consoles make these for empty folders
            listing.skipped.add(key, "not-a-file")
            continue
        if not all(parts):
            listing.refused.append((key, "a part of the path is empty"))
            continue
        folders.update(b"/".join(parts[:depth]) for depth in (1, 2) if depth < len(parts))
        listing.files.append(remote_file(key, info))
    listing.folders = sorted(folders)
    return listing


def first_hidden(parts: list[bytes]) -> tuple[bytes, Reason] | None:
    """Return the key up to the first hidden part, with a slash after a folder, and the reason."""
    for number, part in enumerate(parts, 1):
        if (reason := hidden_reason(part)) is not None:
            return b"/".join(parts[:number]) + b"/" * (number < len(parts)), reason
    return None


class _Folder(NamedTuple):
    """A folder to walk.

    Attributes:
        key: path below the source.
        real_path: the path without links.
        linked: whether a part of its path below the source is a link.
    """

    key: bytes
    real_path: bytes
    linked: bool


class _LocalWalk:
    """One walk over a local folder, which fills `listing`."""

    def __init__(self, root: bytes, follow_symlinks: bool) -> None:
        self.root = root.rstrip(b"/") + b"/"
        self.real_root = os.path.realpath(root).rstrip(b"/")
        self.follow_symlinks = follow_symlinks
        self.listing = Listing()
        self._source = UntrustedFolder(root)
        # Not recursive: folders may be nested deeper than Python's stack.
        self._to_walk = [_Folder(b"", self.real_root, linked=False)]
        self._walked: set[bytes] = set()
        self._files: list[tuple[bytes, int, int, bool]] = []  # the first fields of `ListedFile`

    def run(self) -> Listing:
        while self._to_walk:
            folder = self._to_walk.pop()
            if folder.real_path in self._walked:
                self.listing.skipped.add(folder.key + b"/", "listed-elsewhere")
                continue
            self._walked.add(folder.real_path)
            self._walk(folder)
        self._flush()
        return self.listing

    def _walk(self, folder: _Folder) -> None:
        try:
            descriptor = self._open(folder)
        except OSError as error:
            self._refuse(folder, error)
            return
        pending = len(self._to_walk)
        try:
            chunks = _chunks(self._entries(folder, descriptor))
            for chunk in parallel_map_if_blocking(_stat_files, chunks, threads=_THREADS):
                self._visit(folder, chunk)
        finally:
            os.close(descriptor)  # until now, the status of the entries is read through it
        # Sorted: if two links lead to one folder, every machine follows the first by name.
        # Reversed: the last folder of the list is walked first, so that files come in key order.
        subfolders = sorted(self._to_walk[pending:], key=_first_key, reverse=True)
        self._to_walk[pending:] = subfolders

    def _open(self, folder: _Folder) -> int:
        """Return a descriptor for `os.scandir`."""
        try:
            return self._open_once(folder)
        except PermissionError:  # a server may deny a call for a moment
            return self._open_once(folder)

    def _open_once(self, folder: _Folder) -> int:
        if len(folder.key) > MAX_KEY_BYTES:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if folder.linked:  # only with --follow-symlinks
            return UntrustedFolder(folder.real_path).open_listing(b"")
        return self._source.open_listing(folder.key)

    def _entries(self, folder: _Folder, descriptor: int) -> list[_NamedEntry]:
        """Return the entries of a folder, sorted by name."""
        try:
            with os.scandir(descriptor) as found:
                entries = list(found)
            # One call encodes all names: no name contains a zero.
            names = os.fsencode("\0".join(entry.name for entry in entries)).split(b"\0")
            return sorted(zip(names, entries, strict=False), key=itemgetter(0))
        except OSError as error:
            self._refuse(folder, error)
            return []

    def _refuse(self, folder: _Folder, error: OSError) -> None:
        """Record a folder that cannot be listed. Raises InputNotFoundError or StorageError."""
        code = error.errno or errno.EIO
        if isinstance(error, FileNotFoundError) and not folder.key:
            path = _shown(self.root)
            raise InputNotFoundError("folder not found", path=path) from error
        if folder.key and code in _FORBIDDEN:
            self.listing.skipped.add(folder.key + b"/", "forbidden")
            self.listing.forbidden_folders.append(folder.key)
        elif folder.key and code in _NOT_LISTABLE:
            self.listing.refused.append((folder.key, _NOT_LISTABLE[code]))
        else:
            kind = AccessDeniedError if code in _FORBIDDEN else StorageError
            raise kind(
                "cannot list a folder",
                path=_shown(self.root + folder.key),
                got=os.strerror(code),
                hint="make the folder readable, or move it out of the source",
            ) from error

    def _visit(self, folder: _Folder, entries: list[_StatEntry]) -> None:
        prefix = folder.key + b"/" if folder.key else b""
        may_be_hidden = has_unusual_name([entry.name for _, entry, _ in entries])
        for name, entry, status in entries:
            key = prefix + name
            is_folder = entry.is_dir(follow_symlinks=False)
            if may_be_hidden and (reason := hidden_reason(name)) is not None:
                self.listing.skipped.add(key + b"/" * is_folder, reason)
            elif is_folder:
                self._visit_folder(_Folder(key, folder.real_path + b"/" + name, folder.linked))
            elif entry.is_symlink():
                self._visit_link(key, entry)
            else:
                self._visit_file(key, status, folder.linked)
        if len(self._files) >= _BUFFERED_FILES:
            self._flush()

    def _visit_folder(self, folder: _Folder) -> None:
        if folder.linked and self._is_inside(folder.real_path):
            self.listing.skipped.add(folder.key + b"/", "listed-elsewhere")
            return
        if folder.key.count(b"/") < 2:
            self.listing.folders.append(folder.key)
        self._to_walk.append(folder)

    def _visit_link(self, key: bytes, entry: _Entry) -> None:
        real_path = os.path.realpath(self.root + key)
        status = stat_entry(entry, follow_symlinks=True)
        if status is None:  # the link is broken, or part of a loop
            self.listing.broken_links.append(key)
        elif not self.follow_symlinks and not self._is_inside(real_path):
            self.listing.escaping_links.append(key)
        elif stat.S_ISDIR(status.st_mode):
            self._visit_folder(_Folder(key, real_path, linked=True))
        else:
            self._visit_file(key, status, True)

    def _visit_file(self, key: bytes, status: os.stat_result | None, linked: bool) -> None:
        if status is None:  # it is listed nevertheless: a later read gives the reason
            self._files.append((key, 0, 0, linked))
        elif stat.S_ISREG(status.st_mode):
            self._files.append((key, status.st_size, status.st_mtime_ns % (1 << 64), linked))
        else:
            self.listing.skipped.add(key, "not-a-file")

    def _flush(self) -> None:
        """Move the files to the listing, by columns: they take less time than objects."""
        columns = zip(_COLUMNS.names, zip(*self._files, strict=True), strict=False)
        self.listing.files.append_columns(**dict(columns))
        self._files.clear()

    def _is_inside(self, real_path: bytes) -> bool:
        return (real_path + b"/").startswith(self.real_root + b"/")


def _first_key(folder: _Folder) -> bytes:
    return folder.key + b"/"


def _chunks(entries: list[_NamedEntry]) -> Iterator[list[_NamedEntry]]:
    """Yield entries in order and release them: the status of each takes half a kB."""
    entries.reverse()
    while entries:
        yield entries[: -_CHUNK_ENTRIES - 1 : -1]
        del entries[-_CHUNK_ENTRIES:]


def _stat_files(entries: list[_NamedEntry]) -> list[_StatEntry]:
    """Return entries with the status of each file; a request is slow on network mounts."""
    return [(name, entry, _stat_file(entry)) for name, entry in entries]


def _stat_file(entry: _Entry) -> os.stat_result | None:
    is_folder = entry.is_dir(follow_symlinks=False)
    return None if is_folder else stat_entry(entry, follow_symlinks=False)


def _shown(path: bytes) -> str:
    return escape_for_display(os.fsdecode(path))
