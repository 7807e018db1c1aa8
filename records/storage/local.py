"""A local folder: staged under `.shardmill/staging`, fsynced, published by link(2).

link(2) fails where the name is taken, which rename(2) does not: it is what makes "create only if
absent" one step that no second process can come between.

Open files of a local folder: one that is being written, and one of which parts are read.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from records.errors import LockedError
from records.storage.base import FileInfo, FolderLock, RangeReader, StagedFile, require_identical
from records.storage.conditional import replaced_by_other_run
from records.storage.errors import StagedStream, translate_read_errors, translate_write_errors
from records.storage.names import WORK_FOLDER
from records.text.escaping import escape_for_display

_STAGING = f"{WORK_FOLDER}/staging"
_LOCK = f"{WORK_FOLDER}/lock"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class LocalStorage:
    """A folder on this machine; it is made when the first file is written."""

    is_local = True

    def __init__(self, path: str) -> None:
        self.path = Path(path).absolute()  # a later chdir has no effect
        self.url = escape_for_display(path)
        self._shown = Path(path)

    def display_name(self, name: str) -> str:
        """See `Storage.display_name`."""
        return escape_for_display(str(self._shown / name))

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        with self.open(name) as stream, translate_read_errors(self.display_name(name)):
            return stream.read()

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """See `Storage.read_range`."""
        return self.open_random_access(name).read(offset, size_bytes)

    def open_random_access(self, name: str) -> RangeReader:
        """See `Storage.open_random_access`."""
        return RandomAccessFile(self.path / name, self.display_name(name))

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`."""
        with translate_read_errors(self.display_name(name)):
            return (self.path / name).open("rb", buffering=1 << 20)

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
            for walked, _, files in os.walk(self.path / folder, onerror=_raise_unless_hidden):
                below = Path(walked).relative_to(self.path)
                found += [(below / file).as_posix() for file in files]
        return sorted(found)

    @contextmanager
    def create(self, name: str) -> Iterator[StagedFile]:
        """See `Storage.create`."""
        path = self.display_name(name)
        with translate_write_errors(path):
            staged = self._new_staged_path(name)
            stream = staged.open("xb", buffering=2 * WRITE_STEP_BYTES)
        try:
            yield WriteBehindFile(stream, path)
            with translate_write_errors(path):
                _flush(stream)
                self._publish(staged, name)
        finally:
            # What cannot be flushed or removed now follows an error that says why.
            with suppress(OSError):
                stream.close()
            with suppress(OSError):
                staged.unlink(missing_ok=True)

    def replace(self, name: str, data: bytes) -> None:
        """See `Storage.replace`."""
        with translate_write_errors(self.display_name(name)):
            staged = self._new_staged_path(name)
            try:
                with staged.open("xb") as stream:
                    stream.write(data)
                    _flush(stream)
                final = self.path / name
                final.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(final)
                _fsync_folder(final.parent)
            finally:
                staged.unlink(missing_ok=True)

    def compare_and_swap(self, name: str, old: bytes, new: bytes) -> None:
        """See `Storage.compare_and_swap`: the lock keeps others out."""
        if self.read(name) != old:
            raise replaced_by_other_run(self.display_name(name))
        self.replace(name, new)

    def fsync_folder(self, name: str) -> None:
        """See `Storage.fsync_folder`."""
        with translate_write_errors(self.display_name(name)):
            _fsync_folder(self.path / name)

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        with translate_write_errors(self.display_name(name)):
            (self.path / name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`."""
        with translate_write_errors(self.display_name(name)), suppress(FileNotFoundError):
            shutil.rmtree(self.path / name)

    @contextmanager
    def lock(self) -> Iterator[FolderLock]:
        """See `Storage.lock`: flock(2), which the kernel lets go of when its holder dies."""
        path = self.path / _LOCK
        with translate_write_errors(self.display_name(_LOCK)):
            descriptor = self._open_lock(path)
        try:
            yield _Held()
        finally:
            os.close(descriptor)

    def _open_lock(self, path: Path) -> int:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise LockedError(
                    "another run is writing here",
                    path=self.url,
                    hint="wait for it to end, or choose another target",
                ) from None
            # A run that ends removes its lock: what was locked must still be what lies there.
            if _is_same_file(descriptor, path):
                return descriptor
            os.close(descriptor)

    def _new_staged_path(self, name: str) -> Path:
        staging = self.path / _STAGING
        staging.mkdir(parents=True, exist_ok=True)
        return staging / f"{name.replace('/', '-')}.{secrets.token_hex(8)}"

    def _publish(self, staged: Path, name: str) -> None:
        final = self.path / name
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            _link(staged, final)
        except FileExistsError:
            with staged.open("rb") as stream:
                require_identical(self, name, stream)
        _fsync_folder(final.parent)


class _Held:
    """What the kernel keeps for its holder as long as that lives."""

    def ensure_held(self) -> None:
        """See `FolderLock.ensure_held`: nobody can."""


def _link(staged: Path, final: Path) -> None:
    try:
        final.hardlink_to(staged)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links (exFAT, some network mounts): the lock of the target is
        # what keeps others out then.
        if final.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from None
        staged.rename(final)


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no fsync for folders
            raise
    finally:
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _raise_unless_hidden(error: OSError) -> None:
    """Where a folder cannot be listed what is in it is unknown, but to whom it is not open to."""
    if not isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError):
        raise error


WRITE_STEP_BYTES = 1 << 20
"""Each write(2) lets go of the interpreter, and threads that read ahead then hold it for long."""


class WriteBehindFile:
    """A staged file whose bytes are on their way to the disk soon after they are written.

    So fsync(2) waits for the last of them only, and no longer for a whole shard.
    """

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self._stream = stream
        self._staged = StagedStream(stream, path)
        self._sent_bytes = self._waiting_bytes = 0

    def write(self, data: bytes, /) -> None:
        """Append `data`. Raises OutputError or StorageError."""
        self._staged.write(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= WRITE_STEP_BYTES:
            self._staged.flush()
            self._send()

    def _send(self) -> None:
        if hasattr(os, "posix_fadvise"):
            # Linux begins to write what is said not to be needed; what is not written yet stays.
            place = self._stream.fileno(), self._sent_bytes, self._waiting_bytes
            with suppress(OSError):  # advice; fsync is what counts
                os.posix_fadvise(*place, os.POSIX_FADV_DONTNEED)
        self._sent_bytes += self._waiting_bytes
        self._waiting_bytes = 0


class RandomAccessFile:
    """A descriptor that threads read by place: none of them moves it."""

    _descriptor = -1

    def __init__(self, path: Path, shown: str) -> None:
        self._shown = shown
        with translate_read_errors(shown):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See `RangeReader.read`."""
        try:
            return os.pread(self._descriptor, size_bytes, offset)
        except OSError:
            with translate_read_errors(self._shown):
                raise

    def read_parts(self, offset: int, sizes_bytes: Sequence[int]) -> list[bytes]:
        """See `RangeReader.read_parts`: a call each costs less than to copy what is read."""
        parts = []
        try:
            for size in sizes_bytes:
                parts.append(os.pread(self._descriptor, size, offset))
                offset += size
        except OSError:
            with translate_read_errors(self._shown):
                raise
        return parts

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
