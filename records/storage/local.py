"""Folders on this machine, with staged files and a kernel lock."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from records.errors import LockedError
from records.storage import atomic
from records.storage.base import (
    FileInfo,
    FolderLock,
    RangeReader,
    StagedFile,
    require_identical,
)
from records.storage.errors import (
    replaced_by_other_run,
    translate_read_errors,
    translate_write_errors,
)
from records.storage.names import LOCK, RUN_PLAN, WORK_FOLDER
from records.storage.staging import StagedStream
from records.storage.untrusted_file import UntrustedFolder
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

WRITE_STEP_BYTES = 1 << 20
"""The size of a write(2). Fewer calls are faster: each releases the GIL to prefetching threads."""
"""Parts of up to this size are read with one call: copying them takes less time than two more."""
_READ_BUFFER_BYTES = 1 << 20
_STAGING = f"{WORK_FOLDER}/staging"
_STAGING_ATTEMPTS = 10
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR}
"""The errors of `rmdir` if a folder contains files, does not exist, or is a file."""


class LocalStorage:
    """A folder on this machine; the first write creates it.

    Files are staged in `.shardmill/staging`. The lock is flock(2) on `.shardmill/lock`.

    Args:
        path: the path of the folder.
        follow_links: whether a file may be a link that leads out of the folder.
    """

    is_local = True

    def __init__(self, path: str, *, follow_links: bool = False) -> None:
        self.path = Path(path).absolute()  # a later chdir has no effect
        self.url = escape_for_display(path)
        self.follow_links = follow_links
        self._shown = Path(path)

    def display_name(self, name: str) -> str:
        """See `Storage.display_name`."""
        return escape_for_display(str(self._shown / name))

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        with self.open(name) as stream:
            return stream.read()

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """See `Storage.read_range`."""
        return self.open_random_access(name).read(offset, size_bytes)

    def open_random_access(self, name: str) -> RangeReader:
        """See `Storage.open_random_access`."""
        return RandomAccessFile(self._open_descriptor(name), self.display_name(name))

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`."""
        file = _ReadFile(self._open_descriptor(name), self.display_name(name))
        return io.BufferedReader(file, _READ_BUFFER_BYTES)

    def _open_descriptor(self, name: str) -> int:
        folder = UntrustedFolder(self.path, follow_links=self.follow_links)
        with translate_read_errors(self.display_name(name)):
            return folder.open_file(os.fsencode(name))

    def stat(self, name: str) -> FileInfo | None:
        """See `Storage.stat`."""
        try:
            with translate_read_errors(self.display_name(name)):
                found = (self.path / name).stat()
        except FileNotFoundError:
            return None
        return FileInfo(found.st_size, None) if stat.S_ISREG(found.st_mode) else None

    def list(self, folder: str = "") -> list[str]:
        """See `Storage.list`."""
        found = []
        with translate_read_errors(self.display_name(folder)):
            for walked, _, files in os.walk(self.path / folder, onerror=_raise_unless_closed):
                below = Path(walked).relative_to(self.path)
                found += [(below / file).as_posix() for file in files]
        return sorted(found)

    def create(self, name: str) -> AbstractContextManager[StagedFile]:
        """See `Storage.create`."""
        return self._write(name, self._publish)

    def overwrite(self, name: str) -> AbstractContextManager[StagedFile]:
        """See `Storage.overwrite`."""
        return self._write(name, self._rename)

    @contextmanager
    def _write(self, name: str, publish: Callable[[Path, str], None]) -> Iterator[StagedFile]:
        path = self.display_name(name)
        with ExitStack() as stack:
            with translate_write_errors(path):
                file = self._stage(name, buffering=2 * WRITE_STEP_BYTES)
                staged, stream = stack.enter_context(file)
            yield WriteBehindFile(stream, path)
            with translate_write_errors(path):
                _flush(stream)
                publish(staged, name)

    def replace(self, name: str, data: bytes) -> None:
        """See `Storage.replace`."""
        with (
            translate_write_errors(self.display_name(name)),
            self._stage(name) as (staged, stream),
        ):
            stream.write(data)
            _flush(stream)
            self._rename(staged, name)

    def compare_and_swap(self, name: str, old: bytes, new: bytes) -> None:
        """See `Storage.compare_and_swap`; the lock excludes other writers."""
        if self.read(name) != old:
            raise replaced_by_other_run(self.display_name(name))
        self.replace(name, new)

    def fsync_folder(self, name: str) -> None:
        """See `Storage.fsync_folder`."""
        with translate_write_errors(self.display_name(name)):
            atomic.fsync(self.path / name)

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        with translate_write_errors(self.display_name(name)):
            (self.path / name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`; the file of the lock remains until it is released."""
        folder = self.path / name
        with translate_write_errors(self.display_name(name)), suppress(FileNotFoundError):
            if name != WORK_FOLDER:
                shutil.rmtree(folder)
                return
            # Last the plan, by which the next run would see that files are left.
            for entry in sorted(folder.iterdir(), key=lambda entry: entry == self.path / RUN_PLAN):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry != self.path / LOCK:
                    entry.unlink()
            self.remove_if_empty(name)

    def remove_empty_folders(self, name: str) -> None:
        """Remove the empty folders below a folder, then the folder itself if it is empty."""
        for walked, _, _ in os.walk(self.path / name, topdown=False):
            self.remove_if_empty(walked)

    def remove_if_empty(self, name: str) -> None:
        """Remove a folder if it is empty."""
        with suppress(OSError):  # it contains files, or does not exist
            (self.path / name).rmdir()

    def remove_unused_staging(self) -> None:
        """Remove the staged files of killed processes; then the work folder if it is empty."""
        with translate_write_errors(self.display_name(_STAGING)):
            atomic.remove_staged_files(self.path / _STAGING)
        for folder in (_STAGING, WORK_FOLDER):
            self.remove_if_empty(folder)  # it may contain files of another writer

    @contextmanager
    def lock(self) -> Iterator[FolderLock]:
        """See `Storage.lock`; the kernel releases the lock if the process dies."""
        with translate_write_errors(self.display_name(LOCK)):
            try:
                descriptor = atomic.open_locked(self.path / LOCK, os.O_RDWR | os.O_CREAT)
            except BlockingIOError:
                raise LockedError(
                    "another run is writing here",
                    path=self.url,
                    hint="wait for it to end, then run the same command again",
                ) from None
        try:
            yield _KernelLock()
            with translate_write_errors(self.display_name(LOCK)):
                self._remove_lock(descriptor)
        except BaseException:
            with suppress(OSError):  # the first error is the one to report
                self._remove_lock(descriptor)
            raise
        finally:
            os.close(descriptor)

    def _remove_lock(self, descriptor: int) -> None:
        """Remove the file of a held lock, and the work folder if it has no files then."""
        # A user may have removed the file: then it is that of another process.
        if atomic.is_same_file(descriptor, self.path / LOCK):
            (self.path / LOCK).unlink(missing_ok=True)
        for folder in (_STAGING, WORK_FOLDER):
            try:
                (self.path / folder).rmdir()
            except OSError as error:
                if error.errno not in _NOT_EMPTY:
                    raise

    @contextmanager
    def _stage(self, name: str, *, buffering: int = -1) -> Iterator[tuple[Path, BinaryIO]]:
        """Yield a staged file, as `atomic.locked_staged_file`, in a folder that it creates."""
        folder = self.path / _STAGING
        with ExitStack() as stack:
            for left in reversed(range(_STAGING_ATTEMPTS)):
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    file = atomic.locked_staged_file(self.path / name, folder, buffering=buffering)
                    staged = stack.enter_context(file)
                    break
                except (FileNotFoundError, FileExistsError):
                    # Another process may remove the folder while it is empty.
                    if not left:
                        raise
            yield staged

    def _rename(self, staged: Path, name: str) -> None:
        """Give a staged file its name; it replaces an existing file."""
        final = self.path / name
        final.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(final)
        atomic.fsync(final.parent)

    def _publish(self, staged: Path, name: str) -> None:
        final = self.path / name
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            atomic.link_exclusive(staged, final)
        except FileExistsError:
            with staged.open("rb") as stream:
                require_identical(self, name, stream)
        atomic.fsync(final.parent)


class _KernelLock:
    """A lock that a process holds until it releases the lock or ends."""

    def ensure_held(self) -> None:
        """See `FolderLock.ensure_held`; the lock cannot be lost."""


class WriteBehindFile:
    """A staged file that the kernel writes to disk while it grows.

    So fsync(2) waits only for the last bytes, not for a whole shard.
    """

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self._stream = stream
        self._staged = StagedStream(stream, path)
        self._sent_bytes = self._pending_bytes = 0

    def write(self, data: bytes, /) -> None:
        """Append `data`. Raises OutputError or StorageError."""
        self._staged.write(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= WRITE_STEP_BYTES:
            self._staged.flush()
            self._start_writeback()

    def _start_writeback(self) -> None:
        if hasattr(os, "posix_fadvise"):
            # With DONTNEED, Linux starts writeback and keeps pages that are not written yet.
            span = self._stream.fileno(), self._sent_bytes, self._pending_bytes
            with suppress(OSError):  # this is only advice; fsync makes the file durable
                os.posix_fadvise(*span, os.POSIX_FADV_DONTNEED)
        self._sent_bytes += self._pending_bytes
        self._pending_bytes = 0


class RandomAccessFile:
    """An open file that any number of threads may read at different offsets."""

    def __init__(self, descriptor: int, display_name: str) -> None:
        self._descriptor = descriptor
        self._display_name = display_name

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See `RangeReader.read`."""
        try:
            return os.pread(self._descriptor, size_bytes, offset)
        except OSError:
            with translate_read_errors(self._display_name):
                raise

    def read_parts(self, offset: int, sizes_bytes: Sequence[int]) -> list[bytes]:
        """See `RangeReader.read_parts`; a call per part is faster than copying large parts."""
        offsets = accumulate(sizes_bytes, initial=offset)
        return [self.read(at, size) for at, size in zip(offsets, sizes_bytes, strict=False)]

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # When the interpreter exits, this module may already be cleared: the default keeps `close`.
        close(self._descriptor)


class _ReadFile(io.FileIO):
    """An open file whose read errors name its path."""

    def __init__(self, descriptor: int, display_name: str) -> None:
        super().__init__(descriptor)
        self._display_name = display_name

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """See `io.RawIOBase.readinto`. Raises StorageError."""
        with translate_read_errors(self._display_name):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """See `io.RawIOBase.readall`. Raises StorageError."""
        with translate_read_errors(self._display_name):
            return super().readall()


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _raise_unless_closed(error: OSError) -> None:
    """Raise an error of a listing, unless the folder does not exist or may not be read."""
    missing = isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError)
    if not missing and error.errno != errno.ENAMETOOLONG:
        raise error
