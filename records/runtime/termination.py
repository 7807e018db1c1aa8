"""End of the process soon after SIGINT or SIGTERM, whatever it awaits.

Python runs the handler of a signal in the main thread, and only between two steps of the
interpreter. A handler that raises is therefore not enough: the main thread may wait in a library,
or for threads that are blocked in a read. So a separate thread receives each signal as well, and
ends the process if the orderly way takes too long. Whatever a killed process leaves behind, the
next run cleans up.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue

from records.runtime.logging import log_line

GRACE_SECONDS = 5.0
"""The time that the orderly way has after a signal."""
_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
_POLL_SECONDS = 0.1
_LOG_SECONDS = 1.0


def find_interrupt(error: BaseException) -> KeyboardInterrupt | SystemExit | None:
    """Return the exception of a signal that led to another exception; None if there is none.

    The handler of a signal raises at any step of the interpreter. Python may replace its exception,
    for example while a module is imported, and so may a library.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, KeyboardInterrupt | SystemExit):
        found = found.__cause__ or found.__context__
    return found


class _Watcher:
    """The thread that receives signals, and the time at which it ends the process."""

    def __init__(self) -> None:
        self.grace_seconds = GRACE_SECONDS
        self.not_before = 0.0
        self._pipe: tuple[int, int] | None = None
        self._endings: SimpleQueue[tuple[signal.Signals, threading.Event] | None] = SimpleQueue()

    def start(self) -> None:
        if self._pipe is not None:
            return
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        # The interpreter writes the number of a signal in its C handler, in any thread.
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        watch = threading.Thread(
            target=self._watch, args=(self._pipe,), name="termination", daemon=True
        )
        watch.start()
        # Started now: while the interpreter ends, Python 3.12 starts no thread.
        threading.Thread(target=self._report, name="report of the end", daemon=True).start()

    def stop(self) -> None:
        if self._pipe is not None:
            self._endings.put(None)
            signal.set_wakeup_fd(-1)
            os.close(self._pipe[1])
            self._pipe = None

    def _watch(self, pipe: tuple[int, int]) -> None:
        while received := os.read(pipe[0], 1):
            if received[0] in _STATUS and self._is_overdue(pipe):
                self._end(signal.Signals(received[0]))
        os.close(pipe[0])

    def _is_overdue(self, pipe: tuple[int, int]) -> bool:
        """Wait for the end of the process; return True when it is overdue, False if stopped."""
        received_at = time.monotonic()
        while self._pipe is pipe:  # another pipe: stopped, and started again
            if time.monotonic() > max(received_at + self.grace_seconds, self.not_before):
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _report(self) -> None:
        """Log each end, on a thread: stderr may be a full pipe, or locked by the main thread."""
        while (ending := self._endings.get()) is not None:
            number, is_reported = ending
            with suppress(Exception):
                log_line(
                    f"ended by {number.name} while waiting for a file, a lock or another process",
                    level=logging.ERROR,
                    exit_code=_STATUS[number],
                )
            is_reported.set()

    def _end(self, number: signal.Signals) -> None:
        is_reported = threading.Event()
        self._endings.put((number, is_reported))
        is_reported.wait(_LOG_SECONDS)
        os._exit(_STATUS[number])


_WATCHER = _Watcher()


def watch_signals(grace_seconds: float = GRACE_SECONDS) -> None:
    """End this process a few seconds after SIGINT or SIGTERM, with status 130 or 143.

    The handlers of the signals are not changed. Only the main thread may call this, and only the
    command line does: other programs decide themselves when they end.

    Args:
        grace_seconds: the time between the signal and the end.
    """
    _WATCHER.grace_seconds = grace_seconds
    _WATCHER.start()


def stop_watching() -> None:
    """Undo `watch_signals`."""
    _WATCHER.stop()


@contextmanager
def grace_period(seconds: float) -> Iterator[None]:
    """Give the orderly way more time after a signal, while the block runs."""
    before = _WATCHER.grace_seconds
    _WATCHER.grace_seconds = max(before, seconds)
    try:
        yield
    finally:
        _WATCHER.not_before = time.monotonic() + before
        _WATCHER.grace_seconds = before
