"""A function mapped over items on threads, a few of them ahead of who takes the results."""

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
"""For work that is mostly waiting: for files behind a URL."""
_EXTRA_PREFETCH = 2
_BLOCKING_RATIO = 4


def parallel_map(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int, prefetch: int = 0
) -> Iterator[_Result]:
    """The results in the order of the items, at most `ahead` of them before they are asked for.

    So memory stays flat however many items there are, and items are asked for as they are needed.
    Raises what `function` or `items` raises; what has not begun by then is not done. Without
    `ahead` two more than there are threads. With no threads it is done here, as it is asked for.
    """
    if not threads:
        yield from map(function, items)
        return
    most = prefetch or threads + _EXTRA_PREFETCH
    under_way: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                under_way.append(pool.submit(function, item))
                if len(under_way) >= most:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def parallel_map_if_blocking(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int
) -> Iterator[_Result]:
    """The results in the order of the items, on threads from where something is waited for.

    What needs the interpreter all the time is slower on threads, by a fifth: they take it from each
    other. So items are done in this thread, up to the first that took four times as long as it
    worked, which a busy machine alone rarely makes of it.
    Raises as `parallel_map`.
    """
    rest = iter(items)
    for item in rest:
        began, worked = time.monotonic(), time.thread_time()
        result = function(item)
        has_waited = time.monotonic() - began > _BLOCKING_RATIO * (time.thread_time() - worked)
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
    """What `function` gives of each item, one after another in the order of the items.

    Each item has a thread, which waits where `ahead` results of its own are not yet taken. So what
    lies ahead is bounded, however much an item gives.
    Raises what `function` or `items` raises, in its turn.
    """
    under_way: deque[_BoundedQueue[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                under_way.append(_BoundedQueue(prefetch))
                pool.submit(under_way[-1].fill, function, item)
                if len(under_way) == threads:
                    yield from under_way[0]
                    under_way.popleft()
            while under_way:
                yield from under_way[0]
                under_way.popleft()
        finally:
            for results in under_way:
                results.stop()


class _BoundedQueue(Generic[_Result]):
    """Results on their way from the thread that makes them to the one that takes them."""

    def __init__(self, most: int) -> None:
        self._room = Semaphore(most)
        self._queue: SimpleQueue[tuple[_Result] | BaseException | None] = SimpleQueue()
        self._stopped = False

    def fill(self, function: Callable[[_Item], Iterable[_Result]], item: _Item) -> None:
        """Make all results, in a thread of its own."""
        try:
            for result in function(item):
                self._room.acquire()
                if self._stopped:
                    return
                self._queue.put((result,))
        except BaseException as error:  # for who takes them to raise
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
        """Have no more made than the next one."""
        self._stopped = True
        self._room.release()
