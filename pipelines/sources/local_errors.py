"""Errors of local files: which are repeated, and which end the command.

A file that cannot be read is rejected. This must not happen to an intact file because of an error
that passes, or because this process has reached a limit: the dataset would lack the file.
"""

from __future__ import annotations

import errno
import os
from functools import partial

from records.errors import StorageError
from records.storage.retry import LOCAL_RETRY, ONE_ATTEMPT, retry
from records.text.escaping import escape_for_display

_TRANSIENT = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR, errno.EAGAIN}
_PROCESS_LIMITS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_DENIED = {errno.EACCES, errno.EPERM}
_NO_STATUS = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}


def is_transient(error: Exception) -> bool:
    """Return whether the same call may succeed later."""
    return isinstance(error, OSError) and error.errno in _TRANSIENT


def raise_process_limit(error: OSError, path: str) -> None:
    """Raise StorageError if an error means that this process has reached a limit."""
    if error.errno in _PROCESS_LIMITS:
        raise StorageError(
            "cannot read a source file: this process has reached a limit",
            path=path,
            got=os.strerror(error.errno),
            hint="raise the limit (ulimit -n, memory), or use fewer --workers",
        ) from error


def stat_entry(entry: os.DirEntry[str], *, follow_symlinks: bool) -> os.stat_result | None:
    """Return the status of a directory entry, or None if it cannot be read.

    Args:
        entry: the directory entry.
        follow_symlinks: whether to return the status of the file that a link leads to.

    Raises:
        StorageError: this process has reached a limit.
    """
    try:
        return entry.stat(follow_symlinks=follow_symlinks)
    except OSError as error:
        raise_process_limit(error, escape_for_display(entry.name))
        if error.errno in _NO_STATUS:
            return None
        # A server may deny a call for a moment, but all entries of a folder may be denied for good.
        policy = ONE_ATTEMPT if error.errno in _DENIED else LOCAL_RETRY
    # Any other error is none of this entry: a disk, a network or the system has failed.
    again = partial(entry.stat, follow_symlinks=follow_symlinks)
    try:
        return retry(again, policy, is_transient=lambda _: True)
    except OSError:
        return None
