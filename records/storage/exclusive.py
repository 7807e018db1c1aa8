"""Writers of new files at a path or URL."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from records.errors import OutputError, UsageError
from records.storage import open_storage
from records.storage.atomic import link_exclusive, locked_staged_file, remove_staged_files
from records.storage.errors import HINT_FIX, translate_write_errors
from records.storage.local import LocalStorage
from records.storage.urls import local_path, split_location
from records.storage.work_folder import unlocked_write
from records.text.escaping import escape_for_display
from records.text.urls import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.storage.base import StagedFile, Storage


_STAGED_NAME = "new"  # short: the name of the file may be as long as a name can be


def require_outside(
    output: str, folder: str, *, what: str = "dataset", name: str = "output"
) -> None:
    """Check that an output is not in a folder that the same command reads, or in another output.

    Args:
        output: the path or URL of the output.
        folder: the path or URL of the folder; links are resolved.
        what: what the folder is, for the message.
        name: what the output is, for the message.

    Raises:
        UsageError: the output is the folder, or is inside it.
    """
    inner, outer = (_real_location(each).rstrip("/") + "/" for each in (output, folder))
    if inner.startswith(outer):
        raise UsageError(
            f"{what} and {name} are the same folder"
            if inner == outer
            else f"the {name} is inside the {what}",
            path=escape_for_display(redact_url(inner.rstrip("/"))),
            hint=f"choose a path outside the {what}",
        )


def _real_location(location: str) -> str:
    path = local_path(location)
    return location if path is None else os.path.realpath(path)


def require_absent(location: str) -> None:
    """Check that no file exists at a location.

    Raises:
        OutputError: a file or folder exists at the location.
        StorageError: storage failed after retries.
    """
    storage, name = _open(location)
    if isinstance(storage, LocalStorage):
        exists = os.path.lexists(storage.path / name)
    else:
        exists = storage.stat(name) is not None
    if exists:
        raise _already_exists(storage.display_name(name))


@contextmanager
def create_exclusive(location: str) -> Iterator[StagedFile]:
    """Write a new file, which becomes visible when the block succeeds.

    Raises:
        OutputError: a file exists at the location, or the new file cannot be written.
        StorageError: storage failed after retries.
    """
    require_absent(location)
    storage, name = _open(location)
    with unlocked_write(storage), storage.create(name) as staged:
        yield staged


def require_new(path: str) -> None:
    """Check that no file exists at a local path, other than a terminal, a pipe or a device.

    Raises:
        OutputError: a file or folder exists at the path.
    """
    if os.path.lexists(path) and not _is_stream(path):
        raise _already_exists(path)


def write_new_file(path: str, content: bytes | BinaryIO) -> None:
    """Write a new local file, completely or not at all; a pipe or a device is written directly.

    Args:
        path: the path of the file.
        content: the content, or a file from whose position it is read.

    Raises:
        OutputError: a file exists at the path, or the new file cannot be written.
        StorageError: storage failed.
    """
    target = Path(path)
    with translate_write_errors(path, hint=HINT_FIX):
        if _is_stream(path):
            with _open_stream(path) as stream:
                _copy(content, stream)
            return
        try:
            with _staged(target.parent, content) as staged:
                link_exclusive(staged, target)
        except FileExistsError as error:
            raise _already_exists(path) from error


def replace_file(path: str, content: bytes) -> None:
    """Create or replace a local file atomically.

    Raises:
        OutputError: the file cannot be written.
        StorageError: storage failed.
    """
    target = Path(path)
    with translate_write_errors(path, hint=HINT_FIX), _staged(target.parent, content) as staged:
        staged.replace(target)


@contextmanager
def _staged(folder: Path, content: bytes | BinaryIO) -> Iterator[Path]:
    """Yield a complete file in a folder of the user; it is removed if it still has its name."""
    # A killed process may have left its staged file.
    remove_staged_files(folder, name=_STAGED_NAME)
    with locked_staged_file(Path(_STAGED_NAME), folder) as (staged, stream):
        _copy(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
        yield staged


def _copy(content: bytes | BinaryIO, stream: BinaryIO) -> None:
    if isinstance(content, bytes):
        stream.write(content)
    else:
        shutil.copyfileobj(content, stream)


@contextmanager
def open_new_file(path: str) -> Iterator[BinaryIO]:
    """Yield a new local file that readers see while it grows; or an existing pipe or device.

    If the block raises an error before anything is written, the file is removed.

    Raises:
        OutputError: a file exists at the path, or the file cannot be created.
        StorageError: storage failed.
    """
    is_stream = _is_stream(path)
    with translate_write_errors(path, hint=HINT_FIX):
        try:
            file = _open_stream(path) if is_stream else Path(path).open("xb")  # noqa: SIM115
        except FileExistsError as error:
            raise _already_exists(path) from error
    try:
        yield file
    except BaseException:
        if not is_stream and not os.fstat(file.fileno()).st_size:
            with suppress(OSError):
                Path(path).unlink()
        raise
    finally:
        with suppress(OSError):
            file.close()


def _already_exists(path: str) -> OutputError:
    return OutputError(
        "the file already exists",
        path=path,
        hint="choose another name, or remove this file; shardmill overwrites no file",
    )


def _is_stream(path: str) -> bool:
    """Return whether a path is a terminal, pipe or device, or this process's own stdout."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a path as text
    except OSError:
        return False
    if stat.S_ISREG(found.st_mode):
        with suppress(OSError):
            return path.startswith("/dev/") and os.path.samestat(found, os.fstat(1))
    return not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode))


def _open_stream(path: str) -> BinaryIO:
    """Open a terminal, pipe or device for writing. Raises OSError, also for a pipe without reader.

    Without O_NONBLOCK, a named pipe that no process reads would block forever.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "ab")


def _open(location: str) -> tuple[Storage, str]:
    folder, name = split_location(location)
    if not name:
        raise OutputError("the file name after the last slash is missing", path=location)
    return open_storage(folder), name
