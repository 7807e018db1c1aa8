"""Operating system errors translated to errors that name the remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from records.errors import (
    AccessDeniedError,
    CorruptDataError,
    LockedError,
    OutputError,
    RefusedReadError,
    ShardmillError,
    StorageError,
)
from records.runtime.resource_limits import explain_exhaustion

_KEPT = ": finished work is kept"
HINT_RERUN = f"run the same command again{_KEPT}"
HINT_FIX = "fix this and run the same command again"
_HINT_FIX_KEPT = f"{HINT_FIX}{_KEPT}"

_PERMANENT = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is exceeded",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "the operation is not permitted",
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "a file exists where a folder is needed",
    errno.EEXIST: "a file exists where a folder is needed",
    errno.EISDIR: "a folder exists where a file is needed",
    errno.ENOTEMPTY: "the folder is not empty",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EPIPE: "the reader has closed the pipe",
    errno.ENXIO: "no process reads the pipe",
    errno.EFBIG: "the file exceeds the size limit",
    errno.ELOOP: "symbolic links form a loop",
}
"""Write errors that recur until the user acts."""
DENIED_STATUS = frozenset({401, 403})
"""The HTTP statuses of requests whose credentials are missing, invalid or not sufficient."""


class RefusedFileError(OSError):
    """A file that is not read: it is not a regular file, or a link leads out of its folder."""


@contextmanager
def starts_over() -> Iterator[None]:
    """Drop from hints of errors that finished work is kept; also a decorator.

    For commands that read everything again if they run again.
    """
    try:
        yield
    except (OutputError, StorageError) as error:
        error.hint = error.hint and error.hint.removesuffix(_KEPT)
        raise


@contextmanager
def translate_read_errors(path: str) -> Iterator[None]:
    """Translate an OSError that reading raises.

    Raises:
        FileNotFoundError: the file does not exist, or its name is too long for a file to exist.
        CorruptDataError: the file is not a regular file, or a link leads out of its folder.
        ResourceError: this process has reached a limit; the file may be intact.
        AccessDeniedError: permission is denied.
        StorageError: any other OSError.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except RefusedFileError as error:
        hint = "replace the link by a copy of its file" if error.errno == errno.ELOOP else None
        raise CorruptDataError(str(error.strerror), path=path, hint=hint) from error
    except IsADirectoryError as error:
        raise CorruptDataError("this is a folder, not a file", path=path) from error
    except PermissionError as error:
        got = os.strerror(error.errno or errno.EACCES)
        hint = "make the file readable for this user"
        raise AccessDeniedError("cannot be read", path=path, got=got, hint=hint) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        if (exhausted := explain_exhaustion(error)) is not None:
            raise exhausted from error
        raise StorageError(
            "cannot be read", path=path, got=os.strerror(error.errno or errno.EIO)
        ) from error


@contextmanager
def translate_write_errors(
    path: str, *, what: str = "", hint: str = _HINT_FIX_KEPT
) -> Iterator[None]:
    """Translate an OSError that writing raises.

    Args:
        path: the file or folder, for the message.
        what: the subject of the message, such as "the run"; empty if the path is enough.
        hint: the next step if the cause is permanent.

    Raises:
        OutputError: the cause is permanent, such as a full disk or a missing permission.
        StorageError: any other OSError.
    """
    try:
        yield
    except OSError as error:
        message = f"{what} cannot be written".lstrip()
        reason = _PERMANENT.get(error.errno or 0)
        if reason is None:
            raise StorageError(message, path=path, got=error.strerror or str(error)) from error
        raise OutputError(f"{message}: {reason}", path=path, hint=hint) from error


def access_denied(
    path: str,
    *,
    writes: bool,
    hint: str,
    got: str | None = None,
    what: str = "access is denied",
) -> ShardmillError:
    """Return the error for a request whose credentials are missing, or are refused by a store.

    Args:
        path: the URL.
        writes: whether the request writes.
        hint: how to set the credentials.
        got: the response of the store.
        what: the problem.
    """
    kind: type[ShardmillError] = OutputError if writes else AccessDeniedError
    return kind(what, path=path, got=got, hint=hint)


def refused(
    path: str,
    status: int | None,
    code: str = "",
    *,
    writes: bool,
    access_hint: str,
    hint: str | None = None,
) -> ShardmillError:
    """Return the error for a request that a store refuses, and would refuse again.

    Args:
        path: the URL.
        status: the HTTP status; None if access is denied without one.
        code: the error code of the store; may be empty.
        writes: whether the request writes.
        access_hint: the hint if access is denied.
        hint: the hint otherwise.
    """
    got = None if status is None else f"{status} {code}".rstrip()
    if status is None or status in DENIED_STATUS:
        return access_denied(path, writes=writes, got=got, hint=access_hint)
    kind: type[ShardmillError] = OutputError if writes else RefusedReadError
    return kind("storage refused a request", path=path, got=got, hint=hint)


def conditional_writes_unsupported(path: str) -> OutputError:
    """Return the error for a store that does not support conditional writes."""
    return OutputError(
        "this store does not support conditional writes (If-None-Match, If-Match)",
        path=path,
        hint="write to a store that supports them, or write to a local folder and copy the folder",
    )


def replaced_by_other_run(path: str) -> LockedError:
    """Return the error for a file that another run has replaced."""
    return LockedError(
        "another run has replaced this file", path=path, hint="run the same command again"
    )
