"""Ordered, bounded maps on threads."""

from __future__ import annotations

import sys
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

IO_THREADS = 16
"""The number of threads for work that mostly waits, such as reading files at a URL."""
_EXTRA_PREFETCH = 2
_BLOCKING_RATIO = 4
_POLL_SECONDS = 1.0


class StuckError(Exception):
    """A call takes too long. Its thread continues; the process can end without it."""


def parallel_map(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    threads: int,
    prefetch: int = 0,
    is_stuck: Callable[[_Item], bool] | None = None,
) -> Iterator[_Result]:
    """Yield the result of `function` for each item, in the order of the items.

    Items are read as they are needed, so memory does not grow with the number of items.

    Args:
        function: the function to call on the threads.
        items: the arguments of the calls.
        threads: the number of threads; with 0, each call runs in this thread when its result is
            requested.
        prefetch: the maximum number of calls whose results are not requested yet; 0 means two more
            than `threads`.
        is_stuck: a function that returns whether the call for an item takes too long; called about
            once a second while its result is awaited, with at least one thread.

    Raises the errors of `function` and `items`, and StuckError; calls that have not started are
    cancelled.
    """
    if not threads:
        yield from map(function, items)
        return
    limit = prefetch or threads + _EXTRA_PREFETCH
    pending: deque[tuple[_Item, Future[_Result]]] = deque()
    with _DaemonThreads(threads) as pool:
        for item in items:
            pending.append((item, pool.submit(function, item)))
            if len(pending) >= limit:
                yield _await(*pending.popleft(), is_stuck)
        while pending:
            yield _await(*pending.popleft(), is_stuck)


def _await(
    item: _Item, future: Future[_Result], is_stuck: Callable[[_Item], bool] | None
) -> _Result:
    while is_stuck is not None and not wait([future], _POLL_SECONDS).done:
        if is_stuck(item):
            raise StuckError
    return future.result()


class _DaemonThreads:
    """A pool of threads that does not keep the process alive; one for each call, up to `limit`.

    At the end of the block, calls that have not started are cancelled, and the others are awaited,
    except after StuckError.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._threads: list[Thread] = []
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()

    def submit(self, function: Callable[[_Item], _Result], item: _Item) -> Future[_Result]:
        """Call a function on a thread."""
        future: Future[_Result] = Future()
        self._calls.put((future, partial(function, item)))
        if len(self._threads) < self._limit:
            thread = Thread(target=self._work, daemon=True)
            # A signal may interrupt the start; a thread that has not started cannot be joined.
            thread.start()
            self._threads.append(thread)
        return future

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as error:  # raised again in the thread that awaits the result
                future.set_exception(error)
            # While the thread waits for its next call, the last one must not stay in memory.
            del call, future, function
        self._calls.put(None)  # for the next thread

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(Empty):
            while call := self._calls.get_nowait():
                call[0].cancel()
        self._calls.put(None)
        if sys.is_finalizing():
            return  # daemon threads no longer run, so they never end
        if kind is None or not issubclass(kind, StuckError):
            for thread in self._threads:
                thread.join()


def parallel_map_if_blocking(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    threads: int,
    is_stuck: Callable[[_Item], bool] | None = None,
) -> Iterator[_Result]:
    """Yield the results in the order of the items; use threads after the first call that blocks.

    Work that holds the GIL is a fifth slower on several threads. So calls run one at a time until
    the wall time of a call is more than four times its CPU time. A busy machine alone rarely causes
    this. With `is_stuck`, they run on one thread, which this thread awaits. Arguments and errors
    are those of `parallel_map`.
    """

    def measure(item: _Item) -> tuple[_Result, bool]:
        started, cpu_seconds = time.monotonic(), time.thread_time()
        result = function(item)
        wall_seconds = time.monotonic() - started
        return result, wall_seconds > _BLOCKING_RATIO * (time.thread_time() - cpu_seconds)

    rest = iter(items)
    one_by_one = parallel_map(
        measure, rest, threads=0 if is_stuck is None else 1, prefetch=1, is_stuck=is_stuck
    )
    for result, has_waited in one_by_one:
        yield result
        if has_waited:
            yield from parallel_map(function, rest, threads=threads, is_stuck=is_stuck)


def parallel_flat_map(
    function: Callable[[_Item], Iterable[_Result]],
    items: Iterable[_Item],
    *,
    threads: int,
    prefetch: int,
) -> Iterator[_Result]:
    """Yield all results of `function` for each item, in the order of the items.

    Up to `threads` items are processed in parallel, each on one thread. A thread waits while
    `prefetch` of its results are not consumed, so memory is bounded for any number of results.
    Raises the errors of `function` and `items`, in the order of the results.
    """
    pending: deque[_BoundedQueue[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(_BoundedQueue(prefetch))
                pool.submit(pending[-1].fill, function, item)
                if len(pending) == threads:
                    yield from pending[0]
                    pending.popleft()
            while pending:
                yield from pending[0]
                pending.popleft()
        finally:
            for results in pending:
                results.stop()


class _BoundedQueue(Generic[_Result]):
    """A queue of the results of one item, from the producer thread to the consumer thread."""

    def __init__(self, limit: int) -> None:
        self._room = Semaphore(limit)
        self._queue: SimpleQueue[tuple[_Result] | BaseException | None] = SimpleQueue()
        self._stopped = False

    def fill(self, function: Callable[[_Item], Iterable[_Result]], item: _Item) -> None:
        """Compute all results, on the producer thread."""
        try:
            for result in function(item):
                self._room.acquire()
                if self._stopped:
                    return
                self._queue.put((result,))
        except BaseException as error:  # raised again in the consumer thread
            self._queue.put(error)
        else:
            self._queue.put(None)

    def __iter__(self) -> Iterator[_Result]:
        while (found := self._queue.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            self._room.release()
            yield found[0]

    def stop(self) -> None:
        """Stop the producer after the next result."""
        self._stopped = True
        self._room.release()
