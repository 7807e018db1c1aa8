"""A pool of child processes, which survives their deaths.

A child is a new interpreter. It does not import the main module of the program, so that a script
needs no `if __name__ == "__main__"`, and it inherits no thread and no lock. It ends when its parent
ends, because its connection is closed then.

An item whose child is killed is processed again, by a new child. If that child is killed too,
the item cannot be processed here.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from records.errors import ResourceError
from records.runtime.cpu import ONE_BLAS_THREAD
from records.runtime.processes.child import (
    IGNORED_SIGNALS,
    STARTER,
    Counted,
    Raised,
    Returned,
    Stop,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from records.runtime.shard_worker import ProgressCallback

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

STOP_SECONDS = 3.0
"""How long the children may take to end their items when the pool is stopped."""
_MAX_ATTEMPTS = 2
_POLL_SECONDS = 0.1


class _Process:
    """A child process, and the item that it processes.

    Attributes:
        connection: the connection to the child.
        number: the number of its item; None while it is idle.
        images: the number of images of this item that it has counted.
    """

    def __init__(self, function: bytes) -> None:
        self.number: int | None = None
        self.images = 0
        self._is_stopped = False
        self.connection, other_end = Pipe()
        try:
            self._process = _start(other_end)
        except BaseException:
            self.connection.close()
            raise
        finally:
            other_end.close()
        with suppress(OSError):  # it has ended already, which `recv` shows
            self.connection.send(sys.path)
            self.connection.send_bytes(function)

    def begin(self, number: int, item: object) -> None:
        """Make the process process an item."""
        self.number, self.images = number, 0
        with suppress(OSError):
            self.connection.send(item)

    def stop(self) -> None:
        """Make the process stop at its next image."""
        if not self._is_stopped:
            self._is_stopped = True
            with suppress(OSError):
                self.connection.send(Stop())

    def end(self) -> None:
        """Make the process end immediately, also while it processes an item."""
        self.connection.close()
        self._process.kill()

    def wait(self) -> str:
        """Wait for the end of the process, and return how it has ended."""
        status = self._process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit code {status}"


def _start(connection: Connection) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", STARTER, str(connection.fileno())]
    # The child inherits the mask of this thread: it receives no signal until it ignores them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED_SIGNALS)
    try:
        return subprocess.Popen(  # noqa: S603 - its own interpreter
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**ONE_BLAS_THREAD, **os.environ},
            pass_fds=[connection.fileno()],
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class ProcessPool(Generic[_Item, _Result]):
    """Child processes that call a function for each item; a context manager that ends them.

    Args:
        function: the function, which is pickled. It receives an item, and a callback for progress.
        processes: the maximum number of children.
        on_progress: a callback that receives the number of images processed since the previous
            call; it is negative if an item has to be processed again.
    """

    def __init__(
        self,
        function: Callable[[_Item, ProgressCallback], _Result],
        processes: int,
        on_progress: Callable[[int], object] = lambda _images: None,
    ) -> None:
        self._function = pickle.dumps(function)
        self._limit = processes
        self._on_progress = on_progress
        self._children: list[_Process] = []
        self._waiting: deque[int] = deque()
        self._deaths: Counter[int] = Counter()
        self._failed: ResourceError | None = None
        self._stop_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.end()
        for child in self._children:
            child.wait()

    def stop(self) -> None:
        """Stop the children at their next image; any thread may call this."""
        if self._stop_at is None:
            self._stop_at = time.monotonic() + STOP_SECONDS

    def map_unordered(self, items: Sequence[_Item]) -> Iterator[tuple[int, Future[_Result]]]:
        """Yield the number of each item and its finished future, in the order of their ends.

        After `stop`, no item is started, and items that do not end soon are abandoned.

        Raises:
            ResourceError: two children ended while they processed the same item.
            OSError: no child can be started.
        """
        self._waiting = deque(range(len(items)))
        while busy := self._hand_out(items):
            for connection in wait([*busy], _POLL_SECONDS):
                child = busy[cast("Connection", connection)]
                number, message = child.number, self._receive(child, items)
                if number is not None and message is not None:
                    child.number = None
                    yield number, _to_future(message)
        if self._failed is not None:
            raise self._failed

    def _hand_out(self, items: Sequence[_Item]) -> dict[Connection, _Process]:
        """Give an item to each idle child, and return the busy ones; none if the pool has ended."""
        while self._stop_at is None and self._waiting and (idle := self._idle_child()):
            idle.begin(number := self._waiting.popleft(), items[number])
        busy = [child for child in self._children if child.number is not None]
        if self._stop_at is not None:
            for child in busy:
                child.stop()
            if time.monotonic() > self._stop_at:
                return {}
        return {child.connection: child for child in busy}

    def _receive(self, child: _Process, items: Sequence[_Item]) -> Returned | Raised | None:
        """Return how the function has ended for the item of a child; None if it has not ended."""
        number = child.number
        assert number is not None  # the child is busy
        try:
            message = child.connection.recv()
        except (EOFError, OSError):
            self._on_progress(-child.images)
            self._children.remove(child)
            child.end()
            ended = child.wait()
            self._deaths[number] += 1
            if self._deaths[number] < _MAX_ATTEMPTS:
                self._waiting.appendleft(number)
            else:
                self._failed = self._failed or _died(str(items[number]), ended)
                self.stop()
            return None
        if isinstance(message, Counted):
            child.images += message.images
            self._on_progress(message.images)
            return None
        return cast("Returned | Raised", message)

    def _idle_child(self) -> _Process | None:
        """Return a child without an item, which is started if there may be more children."""
        for child in self._children:
            if child.number is None:
                return child
        if len(self._children) < self._limit:
            try:
                self._children.append(_Process(self._function))
            except OSError:
                if not self._children:
                    raise
                self._limit = len(self._children)  # a limit of the machine
            else:
                return self._children[-1]
        return None


def _to_future(message: Returned | Raised) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(message, Raised):
        future.set_exception(message.error)
    else:
        future.set_result(message.result)
    return future


def _died(item: str, ended: str) -> ResourceError:
    return ResourceError(
        "two processes ended while they worked on it",
        shard=item,
        got=ended,
        hint="if the system ended them to free memory (SIGKILL), use fewer --processes",
    )


def process_map(
    function: Callable[[_Item, ProgressCallback], _Result],
    items: Sequence[_Item],
    *,
    processes: int,
    on_progress: Callable[[int], object] = lambda _images: None,
) -> Iterator[_Result]:
    """Yield the result of `function` for each item, in the order of the items.

    Args:
        function: the function, see `ProcessPool`; with one process, this process calls it.
        items: the items.
        processes: the number of processes.
        on_progress: see `ProcessPool`.

    Raises the errors of `function`, in the order of the items, and of `ProcessPool.map_unordered`.
    """
    if processes == 1:

        def count(images: int) -> None:
            on_progress(images)

        for item in items:
            yield function(item, count)
        return
    finished: dict[int, Future[_Result]] = {}
    following = 0
    with ProcessPool(function, processes, on_progress) as pool:
        for number, future in pool.map_unordered(items):
            finished[number] = future
            while following in finished:
                yield finished.pop(following).result()
                following += 1
