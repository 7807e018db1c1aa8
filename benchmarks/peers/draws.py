"""Random record numbers for all readers of records by number.

No cache can predict the order of the numbers.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from class_folders import report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BATCH_RECORDS = 256


def read_at_random(records: int, draws: int, read: Callable[[int], tuple[bytes, int]]) -> None:
    """Read `draws` records by number after a short warm-up, and report the time.

    Raises:
        ValueError: a record is not an image with its label.
    """
    numbers = draw(records, draws)
    check([read(number) for number in numbers[:100]])
    started = time.perf_counter()
    for number in numbers:
        read(number)
    report(draws, started)


def read_batches_at_random(
    records: int, draws: int, read: Callable[[Sequence[int]], Sequence[tuple[bytes, int]]]
) -> None:
    """Read `draws` records in batches of 256 after a warm-up batch, and report the time.

    Raises:
        ValueError: a record is not an image with its label.
    """
    numbers = draw(records, draws)
    starts = range(0, draws, _BATCH_RECORDS)
    batches = [numbers[start : start + _BATCH_RECORDS] for start in starts]
    check(read(batches[0]))
    started = time.perf_counter()
    for batch in batches:
        read(batch)
    report(draws, started)


def draw(records: int, draws: int) -> list[int]:
    """Return random record numbers, which are the same for every reader."""
    return random.Random(0).choices(range(records), k=draws)


def check(found: Sequence[tuple[bytes, int]]) -> None:
    """Raise ValueError unless each record is an image with its label."""
    for number, (image, label) in enumerate(found):
        if not image.startswith((b"\xff\xd8", b"\x89PNG")) or not isinstance(label, int):
            raise ValueError(f"read {number}: expected an image with its label")
