"""Files of third parties, opened without blocking and without leaving their folder.

A listing is out of date when a file is opened: the name may now belong to a pipe, to a device, or
to a link that leads elsewhere. So a file is opened from its folder, one part of the path after the
other, without following links, and is checked after it is open. Only regular files are read.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from collections.abc import Callable

from records.storage.errors import RefusedFileError

MAX_KEY_BYTES = 4095
"""The maximum length of the path of a folder, relative to the source; PATH_MAX of Linux."""

_FILE_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
# A folder on the way needs no permission to list it.
_FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC | os.O_DIRECTORY
_LIST_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_LINK_ERRORS = {errno.ELOOP, errno.EMLINK, errno.ENOTDIR}
_MAX_OPEN_FOLDERS = 16
_READ_BYTES = 64 << 20
_MAX_PIPE_BYTES = 1 << 30
_WRITER_SECONDS = 10
_POLL_SECONDS = 0.05
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class OpenFolder:
    """The descriptor of an open folder, closed when this object is deleted."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.number)


class UntrustedFolder:
    """A folder whose files are opened without leaving it; any number of threads may do so.

    Links to files inside the folder are followed. The path of the folder itself may contain links.

    Args:
        path: the path of the folder.
        follow_links: whether links that lead out of the folder are followed, too.
    """

    def __init__(self, path: str | bytes | os.PathLike[str], *, follow_links: bool = False) -> None:
        self._path = os.fsencode(path)
        self._follow_links = follow_links
        self._open: dict[bytes, OpenFolder] = {}

    def open_file(self, name: bytes, *, links: bool = True) -> int:
        """Return the descriptor of a regular file.

        Args:
            name: the path of the file, relative to the folder.
            links: whether a part of the path may be a link.

        Raises:
            RefusedFileError: the name belongs to something other than a regular file, a link leads
                out of the folder, or a part of the path is a link although `links` is False.
            OSError: the file cannot be opened.
        """
        return self.open_with_size(name, links=links)[0]

    def open_with_size(self, name: bytes, *, links: bool = True) -> tuple[int, int]:
        """Return the descriptor of a regular file, and its size. Raises as `open_file`."""
        try:
            descriptor = self._open_strictly(name)
        except OSError as error:
            if error.errno not in _LINK_ERRORS or isinstance(error, RefusedFileError):
                raise
            if not links:
                what = "a link or a file was put in its place after it was listed"
                raise RefusedFileError(error.errno, what) from error
            descriptor = self._open_linked(name)
        try:
            status = os.fstat(descriptor)
            _require_regular(status.st_mode)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor, status.st_size

    def open_folder(self, name: bytes) -> OpenFolder:
        """Return an open folder; no part of its path is a link. The last ones opened stay open.

        Args:
            name: the path of the folder, relative to this one; `b""` is this folder.

        Raises:
            RefusedFileError: the path leads out of the folder.
            OSError: the folder cannot be opened.
        """
        found = self._open.get(name)
        if found is None:
            found = self._open_parts(name)
            if len(self._open) >= _MAX_OPEN_FOLDERS:
                self._open.pop(next(iter(self._open)), None)  # the oldest
            self._open[name] = found
        return found

    def open_listing(self, name: bytes) -> int:
        """Return a descriptor for `os.scandir`. Raises as `open_folder`."""
        folder = self.open_folder(name)
        return os.open(b".", _LIST_FLAGS, dir_fd=folder.number)

    def _open_parts(self, name: bytes) -> OpenFolder:
        if not name:
            return OpenFolder(os.open(self._path or b".", _FOLDER_FLAGS))
        parent, _, base = name.rpartition(b"/")
        folder, parts = self._open.get(parent), [base]
        if folder is None:
            folder, parts = self.open_folder(b""), name.split(b"/")
        for part in parts:
            if part == b"..":
                raise RefusedFileError(errno.ELOOP, "the path leads out of the folder")
            flags = _FOLDER_FLAGS | os.O_NOFOLLOW
            folder = OpenFolder(os.open(part, flags, dir_fd=folder.number))
        return folder

    def _open_strictly(self, name: bytes) -> int:
        folder_name, _, base = name.rpartition(b"/")
        folder = self.open_folder(folder_name)
        return os.open(base, _FILE_FLAGS | os.O_NOFOLLOW, dir_fd=folder.number)

    def _open_linked(self, name: bytes) -> int:
        """Open a file through links: its real path is opened without links."""
        path = os.path.join(self._path, name)  # noqa: PTH118 - a path of bytes
        if self._follow_links:
            return os.open(path, _FILE_FLAGS)
        inside = os.path.realpath(self._path).rstrip(b"/") + b"/"
        target = os.path.realpath(path, strict=True)
        if not target.startswith(inside):
            raise RefusedFileError(errno.ELOOP, "a symbolic link leads out of the folder")
        return self._open_strictly(target[len(inside) :])


def require_regular(path: str | os.PathLike[str]) -> None:
    """Check that a file can be opened and is a regular file, before a library opens its path.

    A link in the last part of the path is followed.

    Raises:
        RefusedFileError: the file is not a regular file.
        OSError: the file cannot be opened.
    """
    folder, name = os.path.split(os.fsencode(path))
    os.close(UntrustedFolder(folder, follow_links=True).open_file(name))


def read_descriptor(descriptor: int, size_bytes: int) -> bytes:
    """Return up to `size_bytes` bytes from the position of a descriptor."""
    data = os.read(descriptor, size_bytes)
    if len(data) == size_bytes or not data:
        return data
    pieces = [data]
    left_bytes = size_bytes - len(data)
    while left_bytes and (piece := os.read(descriptor, min(left_bytes, _READ_BYTES))):
        pieces.append(piece)
        left_bytes -= len(piece)
    return b"".join(pieces)


def read_named(path: str | bytes, *, most_bytes: int | None = None) -> bytes:
    """Return the content of a file that the user names: a regular file, a pipe or a terminal.

    Links are followed. A pipe is read until its writers close it, up to 1 GiB.

    Args:
        path: the path of the file.
        most_bytes: the number of bytes after which at most one more of a regular file is read.

    Raises:
        RefusedFileError: the file is another kind of file, is longer than 1 GiB and not regular, or
            is a named pipe that no process has opened for writing after 10 seconds.
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, _FILE_FLAGS)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            size_bytes = status.st_size
            if most_bytes is not None:
                size_bytes = min(size_bytes, most_bytes + 1)
            return read_descriptor(descriptor, size_bytes)
        if stat.S_ISFIFO(status.st_mode):
            # A shell's <(command) and standard input have a writer, or had one.
            return _read_pipe(descriptor, _WRITER_SECONDS if _has_name(path) else 0)
        is_null = os.path.realpath(os.fsencode(path)) == os.fsencode(os.devnull)
        if not (is_null or os.isatty(descriptor)):
            _require_regular(status.st_mode)
        return _read_pipe(descriptor, 0)
    finally:
        os.close(descriptor)


def _has_name(path: str | bytes) -> bool:
    real = os.path.realpath(os.fsencode(path))
    return not real.startswith((b"/dev/", b"/proc/"))


def _read_pipe(descriptor: int, writer_seconds: float) -> bytes:
    """Return everything that is written to a pipe, opened without blocking."""
    pieces: list[bytes] = []
    size_bytes = 0
    wait_until: float | None = time.monotonic() + writer_seconds  # None once there is a writer
    while True:
        try:
            piece = os.read(descriptor, 1 << 20)
        except BlockingIOError:  # a process has it open for writing
            wait_until = None
            select.select([descriptor], [], [])
            continue
        size_bytes += len(piece)
        if size_bytes > _MAX_PIPE_BYTES:
            raise RefusedFileError(errno.EFBIG, "a pipe has more than 1 GiB")
        if piece:
            wait_until = None
            pieces.append(piece)
        elif wait_until is None or not writer_seconds:
            return b"".join(pieces)
        elif time.monotonic() > wait_until:
            raise RefusedFileError(errno.EPIPE, "no process writes to this pipe")
        else:
            time.sleep(_POLL_SECONDS)


def _require_regular(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    kind = next((text for is_kind, text in _KINDS if is_kind(mode)), "something else")
    raise RefusedFileError(errno.EINVAL, f"not a regular file but {kind}")
