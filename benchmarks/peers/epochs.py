"""Epochs of a reader; the last epoch is measured."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from class_folders import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BATCH_SIZE = 32
WORKERS = 2
"""Number of threads or processes of a reader, as many as the machine has cores."""


def time_epochs(epochs: int, read: Callable[[], Iterable[int]], **more: float) -> None:
    """Read epochs, and report the time of the last one.

    Args:
        epochs: the number of epochs: 2 to measure after an epoch of warm-up, 1 to measure without.
        read: a function that starts an epoch and returns the number of images of each batch.
        **more: further figures to report.
    """
    for _ in range(epochs):
        started = time.perf_counter()
        images = sum(read())
    report(images, started, **more)
