"""Parallel maps: order, bounded prefetch, errors."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

import pytest

from records.runtime.parallel_map import (
    parallel_flat_map,
    parallel_map,
    parallel_map_if_blocking,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


def test_parallel_map_returns_results_in_order() -> None:
    assert list(parallel_map(str, range(50), threads=3)) == [str(number) for number in range(50)]
    assert list(parallel_map(str, [], threads=1)) == []


@pytest.mark.parametrize("threads", [1, 4])
def test_parallel_map_takes_at_most_two_items_more_than_threads(threads: int) -> None:
    requested: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            requested.append(number)
            yield number

    results = parallel_map(abs, items(), threads=threads)
    for taken in range(1, 20):
        next(results)
        assert len(requested) <= taken + threads + 2


def test_parallel_map_error_is_raised_and_cancels_waiting_items() -> None:
    done: list[int] = []
    started = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            started.wait(60)
            raise ValueError("of the first")
        done.append(number)

    def items() -> Iterator[int]:
        yield 0
        started.set()
        yield from range(1, 100)

    with pytest.raises(ValueError, match="of the first"):
        list(parallel_map(work, items(), threads=1))
    assert len(done) <= 3


def test_parallel_map_slow_first_item_keeps_order() -> None:
    first_may_end = threading.Event()

    def wait_or_release(number: int) -> int:
        if number == 0:
            assert first_may_end.wait(timeout=30)
        if number == 1:
            first_may_end.set()
        return number

    assert list(parallel_map(wait_or_release, range(20), threads=2, prefetch=4)) == list(range(20))
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
    cast("Generator[int, None, None]", results).close()
    assert len(taken) == 14


def test_parallel_map_error_is_raised_in_order() -> None:
    results = parallel_map(lambda number: 1 // (3 - number), range(9), threads=2, prefetch=3)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


class TestIfBlocking:
    def test_parallel_map_if_blocking_cpu_bound_work_stays_on_caller_thread(self) -> None:
        def work(number: int) -> tuple[int, int]:
            return sum(range(20_000 + number)), threading.get_ident()

        results = list(parallel_map_if_blocking(work, range(20), threads=4))
        # Preemption on a busy machine may look like a wait, but hardly in the first call.
        assert results[0][1] == threading.get_ident()
        assert [result[0] for result in results] == [sum(range(20_000 + n)) for n in range(20)]

    def test_parallel_map_if_blocking_first_wait_moves_rest_to_threads_in_order(self) -> None:
        def work(number: int) -> tuple[int, int]:
            time.sleep(0.02)
            return number, threading.get_ident()

        results = list(parallel_map_if_blocking(work, range(12), threads=4))
        assert [number for number, _ in results] == list(range(12))
        assert results[0][1] == threading.get_ident()
        assert threading.get_ident() not in {thread for _, thread in results[1:]}

    def test_parallel_map_if_blocking_no_items_yields_nothing(self) -> None:
        assert list(parallel_map_if_blocking(abs, [], threads=2)) == []


def test_parallel_map_zero_threads_is_lazy_on_caller_thread() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        done.append(threading.get_ident())
        return number

    results = parallel_map(work, range(3), threads=0)
    assert next(results) == 0
    assert done == [threading.get_ident()]
    assert list(results) == [1, 2]


class TestFlatMap:
    def test_parallel_flat_map_returns_results_in_order(self) -> None:
        def count(most: int) -> Iterator[int]:
            yield from range(most)

        results = parallel_flat_map(count, range(30), threads=4, prefetch=2)
        assert list(results) == [number for most in range(30) for number in range(most)]

    def test_parallel_flat_map_prefetch_limits_results_per_item(self) -> None:
        made = [0, 0]

        def endless(item: int) -> Iterator[int]:
            while True:
                made[item] += 1
                yield made[item]

        results = parallel_flat_map(endless, range(2), threads=2, prefetch=3)
        for taken in range(1, 50):
            assert next(results) == taken
            assert made[0] <= taken + 4
        assert made[1] <= 4
        cast("Generator[int, None, None]", results).close()

    def test_parallel_flat_map_error_is_raised_in_order_and_stops_threads(self) -> None:
        def work(item: int) -> Iterator[int]:
            yield item
            if item == 1:
                raise ValueError("of the second")
            while item > 1:
                yield item

        results = parallel_flat_map(work, range(5), threads=5, prefetch=1)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="of the second"):
            next(results)
        assert not any("ThreadPool" in thread.name for thread in threading.enumerate())

    def test_parallel_flat_map_error_of_items_is_raised(self) -> None:
        def items() -> Iterator[int]:
            yield 1
            raise KeyError("items")

        with pytest.raises(KeyError, match="items"):
            list(parallel_flat_map(lambda item: [item], items(), threads=2, prefetch=1))


@pytest.mark.parametrize("is_started", [False, True])
def test_parallel_map_interrupt_while_a_thread_starts_is_raised(
    monkeypatch: pytest.MonkeyPatch, is_started: bool
) -> None:
    starts = 0

    class Interrupted(threading.Thread):
        def start(self) -> None:
            nonlocal starts
            starts += 1
            if starts == 1 or is_started:
                super().start()
            if starts > 1:
                raise KeyboardInterrupt  # of a signal

    monkeypatch.setattr("records.runtime.parallel_map.Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(parallel_map(str, range(50), threads=3))
