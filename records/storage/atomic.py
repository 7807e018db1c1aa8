"""Local files and folders that appear completely or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from records.storage.names import is_system_name

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_UNFINISHED = ".unfinished"
_STAGED_FILE = re.compile(r"\.[0-9a-f]{16}-")
_INODES = ".inodes.json"
_OPEN_ATTEMPTS = 10
MOST_FSYNCS = 1000


def new_staged_path(path: Path, folder: Path) -> Path:
    """Return an unused path in `folder` for a file that will be published at `path`.

    The path keeps the file name extension, because some writers choose the format by extension.
    """
    return folder / f".{secrets.token_hex(8)}-{path.name}"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the path of a new file, which replaces `path` when the block succeeds.

    Args:
        path: the final path, in an existing folder.

    Raises:
        OSError: the file cannot be written.
    """
    staged = new_staged_path(path, path.parent)
    try:
        yield staged
        fsync(staged)
        staged.replace(path)
        fsync(path.parent)
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)


@contextmanager
def locked_staged_file(
    path: Path, folder: Path, *, buffering: int = -1
) -> Iterator[tuple[Path, BinaryIO]]:
    """Yield a new staged file for `path` in an existing folder, and remove it after the block.

    The file is locked until then, so that no other process takes it for one of a killed process.

    Raises:
        OSError: the file cannot be created.
    """
    while True:
        staged = new_staged_path(path, folder)
        stream = staged.open("xb", buffering=buffering)
        with suppress(OSError):  # a file system without locks: no staged file is removed there
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_same_file(stream.fileno(), staged):  # else another process removed it meanwhile
            break
        stream.close()
    try:
        yield staged, stream
    finally:
        # A failed cleanup must not replace an error of the block.
        with suppress(OSError):
            stream.close()
        with suppress(OSError):
            staged.unlink(missing_ok=True)


def remove_staged_files(folder: Path, *, name: str = "", is_locked: bool = False) -> None:
    """Remove the staged files of killed processes from a folder.

    Args:
        folder: the folder of staged files.
        name: the file name of which staged files are removed; by default, of every name.
        is_locked: whether this process has locked the folder for writing, so that no staged file
            belongs to a live process. Otherwise those of `locked_staged_file` that live
            processes write are kept.

    Raises:
        OSError: a file cannot be removed.
    """
    for path in _list_staged_files(folder, name):
        if is_locked:
            path.unlink(missing_ok=True)
            continue
        with suppress(OSError):  # locked by a live process, or removed in the meantime
            lock = open_locked(path, os.O_RDONLY)
            try:
                path.unlink(missing_ok=True)
            finally:
                os.close(lock)


def _list_staged_files(folder: Path, name: str) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        staged = (entry.name for entry in entries if _STAGED_FILE.match(entry.name))
        return [folder / each for each in staged if _STAGED_FILE.sub("", each) == name or not name]
    return []  # a folder that is missing, or that may not be listed


@contextmanager
def atomic_folder(path: Path, *, last: str | None = None) -> Iterator[Path]:
    """Yield an empty folder, which becomes `path` when the block succeeds.

    The yielded folder is locked. It is next to `path`, or in `path` if `path` exists: a folder that
    the user has created may be the root of a volume, and keeps its owner and permissions. Then its
    files appear one by one, `last` at the end. If the process is killed, the next call for the
    same path removes what it has written.

    Args:
        path: the final path; a folder there must be vacant, see `occupants`.
        last: the file without which readers ignore the folder; by default, the last file by name.

    Raises:
        OSError: the folder cannot be written, or `path` exists and is not vacant (ENOTEMPTY,
            EEXIST, ENOTDIR).
    """
    path = path.absolute()
    parent = path if path.is_dir() else path.parent
    parent.mkdir(parents=True, exist_ok=True)
    for folder in {path.parent, parent}:
        remove_unfinished(folder, path.name)
    staged, lock = _new_locked_folder(parent, path.name)
    try:
        yield staged
        fsync_tree(staged)
        if parent == path:
            _fill(path, staged, last)
        else:
            staged.rename(path)
        fsync(parent)
    finally:
        try:
            _remove_staged(staged)
        finally:
            os.close(lock)


def occupants(folder: Path) -> list[str]:
    """Return the names in a folder that are not the system's and not of an unfinished run.

    A folder without occupants is vacant: `atomic_folder` may fill it.

    Raises:
        OSError: the folder cannot be listed.
    """
    unfinished = _unfinished_folders(folder, folder.absolute().name)
    own = {name for staged in unfinished for name in (staged.name, *_partly_filled(staged))}
    names = sorted(each.name for each in folder.iterdir())
    return [name for name in names if name not in own and not is_system_name(name)]


def remove_unfinished(parent: Path, name: str | None = None) -> None:
    """Remove unfinished folders of `atomic_folder` whose processes have ended.

    Args:
        parent: the parent of the unfinished folders.
        name: the name of the final folder; any name by default.
    """
    for folder in _unfinished_folders(parent, name):
        with suppress(OSError):  # locked by a live process, or removed in the meantime
            lock = open_locked(folder, os.O_RDONLY)
            try:
                _remove_staged(folder)
            finally:
                os.close(lock)


def _unfinished_folders(parent: Path, name: str | None) -> list[Path]:
    wanted = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"\.{wanted}\.[0-9a-f]{{16}}{re.escape(_UNFINISHED)}", re.DOTALL)
    return [each for each in parent.glob(f".*{_UNFINISHED}") if pattern.fullmatch(each.name)]


def _fill(path: Path, staged: Path, last: str | None) -> None:
    """Move the staged content into a vacant folder."""
    if occupants(path):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
    entries = sorted(
        staged.iterdir(), key=lambda each: (each.name == last, each.is_file(), each.name)
    )
    inodes = {entry.name: entry.stat().st_ino for entry in entries}
    with atomic_file(staged / _INODES) as file:
        file.write_bytes(json.dumps(inodes).encode())
    for entry in entries:
        if entry.is_dir():
            entry.rename(path / entry.name)
        else:
            link_exclusive(entry, path / entry.name)


def _partly_filled(staged: Path) -> list[str]:
    """Return the names that `_fill` has moved to the parent, unless it has moved all of them."""
    try:
        inodes: dict[str, int] = json.loads((staged / _INODES).read_bytes())
    except (OSError, ValueError):  # it has moved nothing
        return []
    moved = []
    for name, inode in inodes.items():
        with suppress(FileNotFoundError):
            if (staged.parent / name).lstat().st_ino == inode:
                moved.append(name)
    return [] if len(moved) == len(inodes) else moved


def _remove_staged(staged: Path) -> None:
    """Remove an unfinished folder, and first what `_fill` has moved out of it."""
    for name in _partly_filled(staged):
        path = staged.parent / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(staged, ignore_errors=True)


def link_exclusive(staged: Path, path: Path) -> None:
    """Publish a staged file at `path` if no file exists there, in one step.

    link(2) fails if the name exists, unlike rename(2).

    Raises:
        FileExistsError: a file of this name exists.
        OSError: the link cannot be created.
    """
    try:
        path.hardlink_to(staged)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # On a file system without hard links (exFAT, some network mounts), only the lock of the
        # output folder excludes other writers.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        staged.rename(path)


def fsync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no fsync for folders
            raise
    finally:
        os.close(descriptor)


def open_locked(path: Path, flags: int) -> int:
    """Open and lock a file or folder; the kernel releases the lock when the process dies.

    Args:
        path: the file or folder; `O_CREAT` creates a missing file and its folder.
        flags: the flags of `os.open`.

    Returns:
        The descriptor. Closing it releases the lock.

    Raises:
        BlockingIOError: another descriptor holds the lock.
        OSError: the file or folder cannot be opened.
    """
    while True:
        descriptor = _open(path, flags)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file: the lock is valid only if the file exists.
            if is_same_file(descriptor, path):
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    """Open a file or folder; `O_CREAT` creates a missing file and its folder. Raises OSError."""
    for left in reversed(range(_OPEN_ATTEMPTS)):
        if flags & os.O_CREAT:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # A named pipe in place of the file or folder must not block.
            return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except FileNotFoundError:
            # The last holder of a lock may have just removed the file with its folder.
            if not (left and flags & os.O_CREAT):
                raise
    raise AssertionError("unreachable")


def is_same_file(descriptor: int, path: Path) -> bool:
    """Return whether a path is the name of an open file; links are followed."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _new_locked_folder(parent: Path, name: str) -> tuple[Path, int]:
    while True:
        folder = parent / f".{name}.{secrets.token_hex(8)}{_UNFINISHED}"
        folder.mkdir()
        # Until the folder is locked, another process may treat it as unfinished and remove it.
        with suppress(FileNotFoundError, BlockingIOError):
            return folder, open_locked(folder, os.O_RDONLY)


def fsync_tree(folder: Path) -> None:
    """Flush a folder and everything below it to the disk."""
    paths = [folder, *islice(folder.rglob("*"), MOST_FSYNCS)]
    if len(paths) > MOST_FSYNCS:
        os.sync()  # one flush of all file systems is faster than one per file
        return
    for path in reversed(paths):
        fsync(path)
