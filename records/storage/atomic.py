"""Local files and folders that appear completely or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_UNFINISHED = ".unfinished"
MOST_FSYNCS = 1000


def new_staged_path(path: Path, folder: Path) -> Path:
    """Return an unused path in `folder` for a file that will be published at `path`.

    The path keeps the file name extension, because some writers choose the format by extension.
    """
    return folder / f".{secrets.token_hex(8)}-{path.name}"


@contextmanager
def atomic_file(path: Path, *, staging: Path | None = None) -> Iterator[Path]:
    """Yield the path of a new file, which replaces `path` when the block succeeds.

    Args:
        path: the final path, in an existing folder.
        staging: the folder of the new file, which must exist on the same file system; by default,
            the folder of `path`.

    Raises:
        OSError: the file cannot be written.
    """
    staged = new_staged_path(path, staging or path.parent)
    try:
        yield staged
        fsync(staged)
        staged.replace(path)
        fsync(path.parent)
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder, which becomes `path` when the block succeeds.

    The yielded folder is locked, and is next to `path`. If the process is killed, the next call for
    the same path removes the folder.

    Args:
        path: the final path; an empty folder there is replaced.

    Raises:
        OSError: the folder cannot be written, or `path` exists and is not an empty folder
            (ENOTEMPTY, EEXIST, ENOTDIR).
    """
    parent = path.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(parent, path.name)
    staged, lock = _new_locked_folder(parent, path.name)
    try:
        yield staged
        fsync_tree(staged)
        staged.rename(path)
        fsync(parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        os.close(lock)


def remove_unfinished(parent: Path, name: str | None = None) -> None:
    """Remove unfinished folders of `atomic_folder` whose processes have ended.

    Args:
        parent: the parent of the unfinished folders.
        name: the name of the final folder; any name by default.
    """
    wanted = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"\.{wanted}\.[0-9a-f]{{16}}{re.escape(_UNFINISHED)}", re.DOTALL)
    for folder in parent.glob(f".*{_UNFINISHED}"):
        if not pattern.fullmatch(folder.name):
            continue
        with suppress(OSError):  # locked by a live process, or removed in the meantime
            lock = open_locked(folder, os.O_RDONLY)
            try:
                shutil.rmtree(folder)
            finally:
                os.close(lock)


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
        if flags & os.O_CREAT:
            path.parent.mkdir(parents=True, exist_ok=True)
        # A named pipe in place of the file or folder must not block.
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file: the lock is valid only if the file exists.
            if _is_same_file(descriptor, path):
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
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
