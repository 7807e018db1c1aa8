"""The memory budget: parallel reservations, their order, their release."""

from __future__ import annotations

import gc
import threading
import weakref
from contextlib import ExitStack
from queue import SimpleQueue

import pytest

from records.images.memory_budget import MemoryBudget

WAIT_S = 0.05


class Block:
    """Something whose memory one can ask after."""


def start(budget: MemoryBudget, cost: int, pixels: int, log: SimpleQueue[int]) -> threading.Event:
    """Start a thread that reserves, logs its cost, and releases it when the event is set."""
    release = threading.Event()

    def work() -> None:
        with budget.acquire(cost, pixels):
            log.put(cost)
            release.wait(10)

    threading.Thread(target=work, daemon=True).start()
    return release


def test_memory_budget_small_images_decode_concurrently() -> None:
    budget, log = MemoryBudget(100), SimpleQueue[int]()
    events = [start(budget, 50, 0, log) for _ in range(2)]
    assert [log.get(timeout=10) for _ in events] == [50, 50]
    for event in events:
        event.set()


def test_memory_budget_exhausted_blocks_until_release() -> None:
    budget, log = MemoryBudget(100), SimpleQueue[int]()
    first = start(budget, 90, 0, log)
    assert log.get(timeout=10) == 90
    second = start(budget, 20, 0, log)
    threading.Event().wait(WAIT_S)
    assert log.empty()
    first.set()
    assert log.get(timeout=10) == 20
    second.set()


def test_memory_budget_request_above_base_is_granted() -> None:
    with MemoryBudget(100).acquire(1_000_000, 10):
        pass


def test_memory_budget_large_image_raises_limit_while_held() -> None:
    budget, log = MemoryBudget(100), SimpleQueue[int]()
    with ExitStack() as stack:
        stack.enter_context(budget.acquire(400, 100))  # allows 1,200 bytes on top of the base
        event = start(budget, 900, 100, log)
        assert log.get(timeout=10) == 900
        blocked = start(budget, 1, 0, log)
        event.set()
    assert log.get(timeout=10) == 1
    blocked.set()


def test_memory_budget_waiting_large_request_is_served_before_later_small() -> None:
    budget, log = MemoryBudget(100), SimpleQueue[int]()
    first = start(budget, 60, 0, log)
    assert log.get(timeout=10) == 60
    large = start(budget, 100, 0, log)
    threading.Event().wait(WAIT_S)
    small = start(budget, 10, 0, log)
    threading.Event().wait(WAIT_S)
    assert log.empty()
    first.set()
    assert log.get(timeout=10) == 100
    large.set()
    assert log.get(timeout=10) == 10
    small.set()


def test_memory_budget_exception_releases_memory_and_image() -> None:
    budget = MemoryBudget(100)
    alive: list[weakref.ref[Block]] = []

    def decode() -> None:
        image = Block()
        alive.append(weakref.ref(image))
        raise ValueError

    gc.disable()
    try:
        with pytest.raises(ValueError, match=r"^$"), budget.acquire(100, 0):
            decode()
        assert alive[0]() is None
    finally:
        gc.enable()
    with budget.acquire(100, 0):
        pass
