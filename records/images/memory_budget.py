"""Memory budget for decoding, shared by all threads of the process.

Each decoder call reserves memory at the start and releases it at the end. Reservations are granted
first in, first out, so small images cannot delay a large image indefinitely. The memory in use
never exceeds `base_bytes` plus 12 bytes per pixel of the largest image that is being decoded. An
image that needs more than the base is therefore decoded alone, or along with images that fit into
the base.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from records.runtime.malloc import return_large_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES_PER_PX = 12
_BASE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, eq=False)
class _Reservation:
    cost_bytes: int
    allowance_bytes: int


class MemoryBudget:
    """A first-in, first-out semaphore that counts bytes.

    Args:
        base_bytes: the budget in addition to the memory of the largest image.
    """

    def __init__(self, base_bytes: int = _BASE_BYTES) -> None:
        self._base_bytes = base_bytes
        self._changed = threading.Condition()
        self._waiting: deque[_Reservation] = deque()
        self._held: list[_Reservation] = []

    @contextmanager
    def acquire(self, cost_bytes: int, pixels: int) -> Iterator[None]:
        """Wait until `cost_bytes` are available, and reserve them while the block runs.

        Args:
            cost_bytes: the maximum memory that the block allocates.
            pixels: the number of pixels of the image; raises the budget during the reservation.
        """
        reservation = _Reservation(cost_bytes, BYTES_PER_PX * pixels)
        self._wait_for(reservation)
        try:
            return_large_blocks()
            yield
        except BaseException as error:
            # Stack frames of the traceback keep the image alive: clear them before the release.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            with self._changed:
                self._held.remove(reservation)
                self._changed.notify_all()

    def _wait_for(self, reservation: _Reservation) -> None:
        with self._changed:
            self._waiting.append(reservation)
            try:
                while self._waiting[0] is not reservation or not self._fits(reservation):
                    self._changed.wait()
                self._held.append(reservation)
            finally:
                self._waiting.remove(reservation)
                self._changed.notify_all()

    def _fits(self, reservation: _Reservation) -> bool:
        if not self._held:
            return True
        in_use = reservation.cost_bytes + sum(other.cost_bytes for other in self._held)
        largest = max(reservation.allowance_bytes, *(other.allowance_bytes for other in self._held))
        return in_use <= self._base_bytes + largest


PROCESS_BUDGET = MemoryBudget()
