"""Emulated accelerators of MLPerf Storage's ResNet-50, which sleep instead of computing.

An accelerator sleeps for 0.224 s per batch of 400 images. Each accelerator reads all images with a
separate pipeline, in a separate random order.
"""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from benchmarks.suites.accelerators import STEP_SECONDS, busy_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_WARM_STEPS = 8  # more than the number of batches that a pipeline reads ahead
_MOST = 16  # Each accelerator has a shuffle buffer of up to 256 MB.
_TOO_IDLE = 0.8


def report_busy_shares(read: Callable[[int], Iterable[object]], steps: int) -> None:
    """Measure one accelerator, then two, and so on, until they are too idle; report the shares.

    Args:
        read: a function that starts the pipeline of the accelerator with this number. It returns
            an endless iterable of batches of 400 images.
        steps: the number of measured steps of each accelerator.
    """
    shares: dict[str, float] = {}
    for count in range(1, _MOST + 1):
        started = Barrier(count)
        with ThreadPoolExecutor(count) as pool:
            works = [pool.submit(_work, read(number), steps, started) for number in range(count)]
        share = statistics.mean(work.result() for work in works)
        shares[busy_figure(count)] = share
        if share < _TOO_IDLE:
            break
    print(json.dumps(shares))


def _work(batches: Iterable[object], steps: int, started: Barrier) -> float:
    """Read batches and sleep; return the share of the time that is sleep."""
    unread = iter(batches)
    next(unread)
    started.wait()  # until all pipelines have started
    _step(unread, _WARM_STEPS)
    begin = time.perf_counter()
    _step(unread, steps)
    return steps * STEP_SECONDS / (time.perf_counter() - begin)


def _step(unread: Iterator[object], steps: int) -> None:
    for _ in range(steps):
        next(unread)
        time.sleep(STEP_SECONDS)
