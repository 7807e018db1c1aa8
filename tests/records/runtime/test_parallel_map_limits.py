"""Results come in order, no more of them ahead than allowed, and errors in their place."""

from __future__ import annotations

import threading

import pytest

from records.runtime.parallel_map import parallel_map


def test_parallel_map_slow_first_item_keeps_order() -> None:
    first_may_end = threading.Event()

    def wait_or_let_go(number: int) -> int:
        if number == 0:
            assert first_may_end.wait(timeout=30)
        if number == 1:
            first_may_end.set()
        return number

    assert list(parallel_map(wait_or_let_go, range(20), threads=2, prefetch=4)) == list(range(20))
    assert list(parallel_map(str, [], threads=2, prefetch=4)) == []


def test_parallel_map_prefetch_limits_items_taken() -> None:
    taken: list[int] = []

    def take(number: int) -> int:
        taken.append(number)
        return number

    results = parallel_map(lambda number: number, map(take, range(100)), threads=2, prefetch=5)
    for expected in range(10):
        assert next(results) == expected
        assert len(taken) == expected + 5
    results.close()
    assert len(taken) == 14


def test_parallel_map_error_is_raised_in_order() -> None:
    results = parallel_map(lambda number: 1 // (3 - number), range(9), threads=2, prefetch=3)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
