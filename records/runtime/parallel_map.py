"""Ordered, bounded maps on threads."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Semaphore
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

IO_THREADS = 16
"""The number of threads for work that mostly waits, such as reading files at a URL."""
_EXTRA_PREFETCH = 2
_BLOCKING_RATIO = 4


def parallel_map(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int, prefetch: int = 0
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

    Raises the errors of `function` and `items`; calls that have not started are cancelled.
    """
    if not threads:
        yield from map(function, items)
        return
    limit = prefetch or threads + _EXTRA_PREFETCH
    pending: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= limit:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def parallel_map_if_blocking(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int
) -> Iterator[_Result]:
    """Yield the results in the order of the items; use threads after the first call that blocks.

    Work that holds the GIL is a fifth slower on threads. So calls run in this thread until the wall
    time of a call is more than four times its CPU time. A busy machine alone rarely causes this.
    Raises as `parallel_map`.
    """
    rest = iter(items)
    for item in rest:
        started, cpu_seconds = time.monotonic(), time.thread_time()
        result = function(item)
        has_waited = time.monotonic() - started > _BLOCKING_RATIO * (
            time.thread_time() - cpu_seconds
        )
        yield result
        if has_waited:
            yield from parallel_map(function, rest, threads=threads)


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
