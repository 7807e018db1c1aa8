"""A function mapped over items on threads, a few of them ahead of who takes the results."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MORE_THAN_THREADS = 2


def map_ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int, ahead: int = 0
) -> Iterator[_Result]:
    """The results in the order of the items, at most `ahead` of them before they are asked for.

    So memory stays flat however many items there are, and items are asked for as they are needed.
    Raises what `function` or `items` raises; what has not begun by then is not done. Without
    `ahead` two more than there are threads.
    """
    most = ahead or threads + _MORE_THAN_THREADS
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
