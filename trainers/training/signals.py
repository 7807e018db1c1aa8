"""Ctrl-C and SIGTERM in the middle of a training: the step ends first, and a checkpoint is kept."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether the process was asked to stop; asked twice, it stops at once."""

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None

    @property
    def is_made(self) -> bool:
        """Whether a signal has come."""
        return self._stop is not None

    def obey(self) -> None:
        """Do what the signal would have done. Raises KeyboardInterrupt or SystemExit."""
        if self._stop is not None:
            self._stop()

    def defer(self, handler: Any, number: int, frame: FrameType | None) -> None:
        """Keep a signal for later; the second one acts."""
        if self._stop is not None:
            self._stop()
        self._stop = lambda: handler(number, frame)


@contextmanager
def defer_signals() -> Iterator[StopRequest]:
    """Keep signals for a moment at which a checkpoint can be written.

    Elsewhere than in the main thread, where Python lets nobody handle signals, it does nothing.
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
        yield request
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
