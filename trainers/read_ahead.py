"""A function called on threads, some items ahead of whoever takes its results, in their order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_T = TypeVar("_T")
_R = TypeVar("_R")


def map_ahead(
    function: Callable[[_T], _R], items: Iterable[_T], *, threads: int, ahead: int
) -> Iterator[_R]:
    """`map`, but that results are made on threads before they are asked for.

    Args:
        function: called for each item, on any of the threads.
        items: taken one by one, on the caller's thread.
        threads: how many.
        ahead: the most results that are made or being made and not yet taken.

    Yields:
        The results in the order of the items; what the function raises is raised in its place.
    """
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[_R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            # Whoever stops asking does not wait for what nobody wants.
            for future in pending:
                future.cancel()
