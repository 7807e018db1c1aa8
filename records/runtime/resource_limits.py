"""Limits of memory, threads and open files, as errors."""

from __future__ import annotations

import errno
import resource

from records.errors import OutputError, ResourceError, ShardmillError
from records.text.formatting import format_bytes

_MEMORY_ERRNOS = {errno.ENOMEM, errno.EAGAIN}
_FILES_ERRNOS = {errno.EMFILE, errno.ENFILE}
_MEMORY_MESSAGES = ("failed to map segment", "cannot allocate memory", "can't start new thread")
_HINT_MEMORY = "raise the limit (ulimit -v, ulimit -u, the memory of the container)"


def require_address_space(size_bytes: int, what: str) -> None:
    """Check that RLIMIT_AS, which `ulimit -v` sets, allows this size in all.

    Libraries that get no memory while they load abort the process, without a message.

    Raises:
        ResourceError: the limit is smaller.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < size_bytes:
        raise ResourceError(
            f"{what} needs more address space than this process may use",
            expected=f"at least {format_bytes(size_bytes)}",
            got=format_bytes(limit),
            hint="raise the limit: ulimit -v unlimited",
        )


def explain_exhaustion(error: BaseException) -> ShardmillError | None:
    """Return the error to report if a limit of the machine caused an exception; None otherwise."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if "temporary directory" in text and number == errno.ENOENT:
        return OutputError(
            "no temporary folder can be written",
            hint="set TMPDIR to a folder that can be written",
        )
    if number in _FILES_ERRNOS:
        return ResourceError(
            "too many files are open", got=text, hint="raise the limit: ulimit -n 4096"
        )
    is_memory = isinstance(error, MemoryError) or number in _MEMORY_ERRNOS
    if isinstance(error, ImportError | RuntimeError):
        is_memory = any(message in text.lower() for message in _MEMORY_MESSAGES)
    return ResourceError("not enough memory", hint=_HINT_MEMORY) if is_memory else None
