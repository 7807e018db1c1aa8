"""Standard streams that may be closed, full, or a broken pipe.

A failed write to stdout or stderr does not stop a command: the command line reports it at the end,
in the exit code. Text is UTF-8 in every locale.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_END = b"\0end of output\0"
_HELD_BYTES = 4096


def open_standard_streams() -> None:
    """Make descriptors 0, 1 and 2 and the streams of `sys` usable, whatever the parent left.

    A closed descriptor is opened on /dev/null. Otherwise the next file that the process opens, such
    as a lock file, would get its number, and receive what C libraries print.
    """
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        if not _is_open(descriptor):
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(_STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _open_text(_STDOUT, sys.stdout)
    sys.stderr = _open_text(_STDERR, sys.stderr)


def stdout_error() -> OSError | None:
    """Return the error of the first write to stdout that failed; None if none failed."""
    stream = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return stream.error if isinstance(stream, _Descriptor) else None


@contextmanager
def capture_native_output(
    format_line: Callable[[str], str] = escape_for_display, *, quiet: bool
) -> Iterator[None]:
    """Within the block, handle the lines that C libraries write to descriptor 2.

    Such lines are written by decoders that find an image damaged, past the log of Python. A small
    process reads them: if this process dies of a crash in a library, its last words are printed.
    Call this before the process has threads.

    Args:
        format_line: a function that returns the line to print for a line of a library.
        quiet: whether to print the lines only if this process dies.
    """
    sys.stderr.flush()
    real = os.dup(_STDERR)
    reading, writing = os.pipe()
    reader = _fork_reader(reading, writing, real, format_line, quiet=quiet)
    if reader is None:
        yield
        return
    os.dup2(writing, _STDERR)
    os.close(writing)
    stderr, sys.stderr = sys.stderr, _open_text(real, None)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = stderr
        with suppress(OSError):
            os.write(_STDERR, _END)
        os.dup2(real, _STDERR)
        with suppress(ChildProcessError):
            os.waitpid(reader, 0)  # and no other child


def _fork_reader(
    reading: int, writing: int, target: int, format_line: Callable[[str], str], *, quiet: bool
) -> int | None:
    """Start the process that reads the pipe; return its ID, or None if the system allows none."""
    # The reader ends with the pipe, not with a signal to the process group.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    reader: int | None = None
    with suppress(OSError):
        reader = os.fork()
    if reader == 0:
        try:
            os.close(writing)
            for descriptor in (_STDIN, _STDOUT):
                os.dup2(reading, descriptor)
            _print_captured(reading, _Descriptor(target), format_line, quiet=quiet)
        finally:
            os._exit(0)
    os.close(reading)
    if reader is None:
        os.close(writing)
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    return reader


def _print_captured(
    source: int, output: _Descriptor, format_line: Callable[[str], str], *, quiet: bool
) -> None:
    """Print the lines of a pipe until its end."""
    waiting = b""
    while _END not in waiting and (block := os.read(source, 1 << 16)):
        waiting += block
        if quiet:
            waiting = waiting[-_HELD_BYTES:]
        else:
            *lines, waiting = waiting.split(b"\n")
            _write_lines(output, lines, format_line)
    rest, end, _ = waiting.partition(_END)
    if not (quiet and end):
        _write_lines(output, rest.splitlines(), format_line)


def _write_lines(
    output: _Descriptor, lines: list[bytes], format_line: Callable[[str], str]
) -> None:
    for line in filter(None, lines):
        text = format_line(line.decode("utf-8", "backslashreplace"))
        output.write(f"{text}\n".encode("utf-8", "backslashreplace"))


class _Descriptor(io.RawIOBase):
    """A descriptor whose failed writes are remembered and not raised."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any, /) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # a pipe that another process made non-blocking
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.error = self.error or error
                return len(memoryview(data).cast("B"))


def _open_text(descriptor: int, current: TextIO | None) -> TextIO:
    """Return a text stream on a descriptor, with the buffering of the current one."""
    if current is not None:
        with suppress(OSError):
            current.flush()
    unbuffered = descriptor != _STDOUT or os.isatty(descriptor)
    unbuffered = unbuffered or getattr(current, "write_through", False)
    buffer = io.BufferedWriter(_Descriptor(descriptor))
    return io.TextIOWrapper(
        buffer,
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=unbuffered,
        write_through=unbuffered,
    )


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
