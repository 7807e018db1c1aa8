"""Random record numbers for all readers of single records.

No cache can predict the order of the numbers.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from class_folders import report

if TYPE_CHECKING:
    from collections.abc import Callable


def read_at_random(records: int, draws: int, read: Callable[[int], tuple[bytes, int]]) -> None:
    """Read `draws` records by number after a short warm-up, and report the time.

    Raises:
        ValueError: a record is not an image with its label.
    """
    numbers = random.Random(0).choices(range(records), k=draws)
    for number in numbers[:100]:
        image, label = read(number)
        if not image.startswith((b"\xff\xd8", b"\x89PNG")) or not isinstance(label, int):
            raise ValueError(f"record {number}: expected an image with its label")
    started = time.perf_counter()
    for number in numbers:
        read(number)
    report(draws, started)
