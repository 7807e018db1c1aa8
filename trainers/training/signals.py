"""Signals deferred to the end of a step."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from records.runtime.termination import grace_period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STEP_SECONDS = 30.0
"""The time for the current step and a checkpoint, after a signal."""


class StopRequest:
    """A SIGINT or SIGTERM that was received and deferred; a second signal acts immediately."""

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None

    @property
    def is_requested(self) -> bool:
        """Return whether a signal was received."""
        return self._stop is not None

    def raise_if_requested(self) -> None:
        """Call the original handler of the signal. Raises KeyboardInterrupt or SystemExit."""
        if self._stop is not None:
            self._stop()

    def defer(self, handler: Any, number: int, frame: FrameType | None) -> None:
        """Keep the first signal for later; on the second, call the handler of the first."""
        if self._stop is not None:
            self._stop()
        self._stop = lambda: handler(number, frame)


@contextmanager
def defer_signals() -> Iterator[StopRequest]:
    """Yield an object that keeps the signals received within the block.

    Outside the main thread, signals are not deferred: Python handles signals only in the main
    thread.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, partial(request.defer, handler))
    try:
        with grace_period(_STEP_SECONDS):
            yield request
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
