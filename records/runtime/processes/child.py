"""The program of a child process.

It calls the function of its parent for one item after another. The parent sends the function and
then items, and receives messages: counts of processed images, and the result or the exception of
each item. The child ends when its parent has ended or closes the connection, whatever it does at
this moment.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, NamedTuple

from records.runtime.shard_worker import CancelledError

STARTER = (
    "import sys; from multiprocessing.connection import Connection; "
    "connection = Connection(int(sys.argv[1])); sys.path[:] = connection.recv(); "
    "from records.runtime.processes.child import serve; serve(connection)"
)
"""The program text of a child; its argument is the descriptor of its connection."""

IGNORED_SIGNALS = {signal.SIGINT, signal.SIGTERM}
"""A terminal and a service manager send these signals to the parent too, which ends the child."""

_COUNT_SECONDS = 0.1


class Counted(NamedTuple):
    """A message: the number of images processed since the previous one."""

    images: int


class Returned(NamedTuple):
    """A message: the function has returned for the current item."""

    result: Any


class Raised(NamedTuple):
    """A message: the function has raised an exception for the current item."""

    error: BaseException


class Stop(NamedTuple):
    """A message to the child: the current item is no longer wanted."""


class _Child:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._items: SimpleQueue[Any] = SimpleQueue()
        self._stopped = False
        self._uncounted = 0
        self._counted_at = time.monotonic()

    def run(self) -> None:
        threading.Thread(target=self._listen, name="parent", daemon=True).start()
        function = self._items.get()
        while True:
            item = self._items.get()
            try:
                message: Returned | Raised = Returned(function(item, self._count))
            except BaseException as error:  # raised again in the parent
                error.add_note("".join(traceback.format_exception(error)))
                message = Raised(error)
            self._send_count()
            self._send(message)
            del message  # while the child waits for an item, the last result is not in memory

    def _listen(self) -> None:
        try:
            while True:
                received = self._connection.recv()
                if isinstance(received, Stop):
                    self._stopped = True
                else:
                    self._items.put(received)
        except (EOFError, OSError):
            os._exit(0)
        except Exception as error:  # a function that cannot be imported here
            self._send(Raised(error))

    def _count(self, images: int) -> None:
        self._uncounted += images
        if time.monotonic() - self._counted_at > _COUNT_SECONDS:
            self._send_count()
        if self._stopped:
            raise CancelledError

    def _send_count(self) -> None:
        self._counted_at = time.monotonic()
        if self._uncounted:
            self._send(Counted(self._uncounted))
            self._uncounted = 0

    def _send(self, message: Counted | Returned | Raised) -> None:
        try:
            self._connection.send(message)
        except OSError:  # the parent has ended
            os._exit(0)
        except Exception as error:  # a result or an exception that cannot be pickled
            self._connection.send(Raised(RuntimeError(f"{type(error).__name__}: {error}")))


def serve(connection: Connection) -> None:
    """Process the items of the parent until it closes the connection."""
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED_SIGNALS)
    _Child(connection).run()
