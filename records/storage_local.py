"""A local folder: staged under `.shardmill/staging`, fsynced, published by link(2).

link(2) fails where the name is taken, which rename(2) does not: it is what makes "create only if
absent" one step that no second process can come between.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from records.errors import BusyError
from records.layout import WORK_FOLDER
from records.local_files import WRITE_STEP_BYTES, OpenFile, WrittenBehind
from records.storage import FileFacts, Hold, RangeReader, StagedFile, check_same_bytes
from records.storage_errors import reading, writing
from records.text import printable
from records.versions import taken_over

_STAGING = f"{WORK_FOLDER}/staging"
_LOCK = f"{WORK_FOLDER}/lock"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class LocalStorage:
    """A folder on this machine; it is made when the first file is written."""

    is_local = True

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.url = printable(path)

    def describe(self, name: str) -> str:
        """See `Storage.describe`."""
        return printable(str(self.path / name))

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        with self.open(name) as stream, reading(self.describe(name)):
            return stream.read()

    def read_range(self, name: str, offset: int, size_bytes: int) -> bytes:
        """See `Storage.read_range`."""
        return self.open_ranges(name).read(offset, size_bytes)

    def open_ranges(self, name: str) -> RangeReader:
        """See `Storage.open_ranges`."""
        return OpenFile(self.path / name, self.describe(name))

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`."""
        with reading(self.describe(name)):
            return (self.path / name).open("rb", buffering=1 << 20)

    def facts(self, name: str) -> FileFacts | None:
        """See `Storage.facts`."""
        try:
            with reading(self.describe(name)):
                found = (self.path / name).stat()
        except FileNotFoundError:
            return None
        return FileFacts(found.st_size, None) if stat.S_ISREG(found.st_mode) else None

    def list(self, folder: str = "") -> list[str]:
        """See `Storage.list`."""
        found = []
        with reading(self.describe(folder)):
            for walked, _, files in os.walk(self.path / folder, onerror=_raise_unless_hidden):
                below = Path(walked).relative_to(self.path)
                found += [(below / file).as_posix() for file in files]
        return sorted(found)

    @contextmanager
    def create(self, name: str) -> Iterator[StagedFile]:
        """See `Storage.create`."""
        path = self.describe(name)
        with writing(path):
            staged = self._new_staged_path(name)
            stream = staged.open("xb", buffering=2 * WRITE_STEP_BYTES)
        try:
            yield WrittenBehind(stream, path)
            with writing(path):
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
        with writing(self.describe(name)):
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

    def exchange(self, name: str, old: bytes, new: bytes) -> None:
        """See `Storage.exchange`: the lock keeps others out."""
        if self.read(name) != old:
            raise taken_over(self.describe(name))
        self.replace(name, new)

    def sync_folder(self, name: str) -> None:
        """See `Storage.sync_folder`."""
        with writing(self.describe(name)):
            _fsync_folder(self.path / name)

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        with writing(self.describe(name)):
            (self.path / name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        """See `Storage.remove_folder`."""
        with writing(self.describe(name)), suppress(FileNotFoundError):
            shutil.rmtree(self.path / name)

    @contextmanager
    def lock(self) -> Iterator[Hold]:
        """See `Storage.lock`: flock(2), which the kernel lets go of when its holder dies."""
        path = self.path / _LOCK
        with writing(self.describe(_LOCK)):
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
                raise BusyError(
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
                check_same_bytes(self, name, stream)
        _fsync_folder(final.parent)


class _Held:
    """What the kernel keeps for its holder as long as that lives."""

    def confirm(self) -> None:
        """See `Hold.confirm`: nobody can."""


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
