"""The folder of a run on a local disk."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from records.errors import LockedError, OutputError
from records.storage import FileInfo
from records.storage.atomic import (
    atomic_file,
    atomic_folder,
    occupants,
    open_locked,
    remove_staged_files,
)
from records.storage.errors import translate_write_errors
from records.storage.local import LocalStorage
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


class LocalRunFolder:
    """The files of a run in a local folder; see `RunFolder`.

    The kernel releases the lock, flock(2) on the folder, when the process ends.

    Args:
        path: the path; a relative path becomes absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()  # a later chdir has no effect
        self.location = str(path)

    def display_name(self, name: str) -> str:
        """See `RunFolder.display_name`."""
        return escape_for_display(os.path.join(self.location, name))  # noqa: PTH118 - as given

    def open(self, name: str) -> BinaryIO:
        """See `RunFolder.open`; a link that leads out of the folder is refused."""
        return LocalStorage(str(self.path)).open(name)

    def local_path(self, name: str) -> Path | None:
        """See `RunFolder.local_path`."""
        return self.path / name

    def stat(self, name: str) -> FileInfo | None:
        """See `RunFolder.stat`."""
        with _writing(self.path):
            try:
                found = (self.path / name).stat()
            except OSError as error:
                if error.errno in _ABSENT:
                    return None
                raise
        return FileInfo(found.st_size, None) if stat.S_ISREG(found.st_mode) else None

    def list(self, folder: str) -> list[str]:
        """See `RunFolder.list`."""
        found = (self.path / folder).glob("*")
        return sorted(f"{folder}/{path.name}" for path in found if path.is_file())

    def is_vacant(self, *, ignored: Collection[str] = ()) -> bool:
        """See `RunFolder.is_vacant`."""
        with _writing(self.path):
            if not self.path.exists():
                return True
            if not self.path.is_dir():
                raise OutputError("the run folder is an existing file", path=self.location)
            return set(occupants(self.path)) <= set(ignored)

    @contextmanager
    def new(self, *, last: str) -> Iterator[Path]:
        """See `RunFolder.new`."""
        with _writing(self.path), atomic_folder(self.path, last=last) as folder:
            yield folder

    @contextmanager
    def lock(self, create: Callable[[], object]) -> Iterator[None]:
        """See `RunFolder.lock`; a folder must exist before it can be locked."""
        create()
        with _writing(self.path):
            try:
                descriptor = open_locked(self.path, os.O_RDONLY)
            except BlockingIOError:
                raise LockedError(
                    "another process is training this run",
                    path=self.location,
                    hint="try again later",
                ) from None
        try:
            yield
        finally:
            os.close(descriptor)

    def remove_leftovers(self, *folders: str) -> None:
        """See `RunFolder.remove_leftovers`."""
        with _writing(self.path):
            for folder in folders:
                remove_staged_files(self.path / folder, is_locked=True)

    def write(self, name: str, content: bytes | BinaryIO) -> None:
        """See `RunFolder.write`."""
        path = self.path / name
        with _writing(path):
            path.parent.mkdir(exist_ok=True)
            with atomic_file(path) as staged:
                if isinstance(content, bytes):
                    staged.write_bytes(content)
                    return
                with staged.open("wb") as file:
                    shutil.copyfileobj(content, file)

    def swap(self, name: str, old: bytes, new: bytes) -> None:
        """See `RunFolder.swap`; the lock excludes other writers."""
        del old
        self.write(name, new)

    def remove(self, name: str) -> None:
        """See `RunFolder.remove`."""
        with _writing(self.path / name):
            (self.path / name).unlink(missing_ok=True)

    def remove_empty_folder(self, name: str = "") -> None:
        """See `RunFolder.remove_empty_folder`."""
        with suppress(OSError):  # it contains files, does not exist, or is the root of a volume
            (self.path / name).rmdir()


def _writing(path: Path) -> AbstractContextManager[None]:
    """Translate an OSError that writing to a run raises, to OutputError or StorageError."""
    hint = "fix this, and repeat the command with --resume"
    return translate_write_errors(str(path), what="the run", hint=hint)
