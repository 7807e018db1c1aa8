"""The memory that decoding may use at once, in the whole process, however many threads there are.

A decode draws what it will need before it starts and gives it back when it is done. Draws are
served in the order they came, so a large image is not passed by small ones for ever. In use at any
moment: at most `base_bytes` and 12 bytes a pixel of the largest image being decoded. An image that
needs more than the base therefore decodes alone, or beside what the base still holds.

What is freed must also leave the process. glibc keeps freed blocks for later, for each thread apart
(32 threads at 12-megapixel photos held 500 MB more than they used), so it is told to let go.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES_PER_PX = 12
_BASE_BYTES = 48 << 20
_FREED_BEFORE_TRIM_BYTES = 32 << 20
# Only glibc has it; other allocators give back what is free by themselves.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    cost_bytes: int
    allowance_bytes: int


class DecodeBudget:
    """A count of bytes in use that makes threads wait their turn.

    Args:
        base_bytes: what may be in use whatever the size of the images.
    """

    def __init__(self, base_bytes: int = _BASE_BYTES) -> None:
        self._base_bytes = base_bytes
        self._changed = threading.Condition()
        self._waiting: deque[_Draw] = deque()
        self._held: list[_Draw] = []
        self._freed_bytes = 0

    @contextmanager
    def draw(self, cost_bytes: int, pixels: int) -> Iterator[None]:
        """Hold `cost_bytes` while the block runs; waits until they are free.

        Args:
            cost_bytes: the most bytes the block allocates.
            pixels: the pixels of its image, which raise what may be in use while it is held.
        """
        draw = _Draw(cost_bytes, BYTES_PER_PX * pixels)
        self._take(draw)
        try:
            yield
        finally:
            self._give_back(draw)

    def _give_back(self, draw: _Draw) -> None:
        with self._changed:
            self._freed_bytes += draw.cost_bytes
            trim = self._freed_bytes >= _FREED_BEFORE_TRIM_BYTES
            if trim:
                self._freed_bytes = 0
        # Before the next draw is served, and outside the lock: it takes milliseconds.
        if trim and _malloc_trim is not None:
            _malloc_trim(0)
        with self._changed:
            self._held.remove(draw)
            self._changed.notify_all()

    def _take(self, draw: _Draw) -> None:
        with self._changed:
            self._waiting.append(draw)
            try:
                while self._waiting[0] is not draw or not self._fits(draw):
                    self._changed.wait()
                self._held.append(draw)
            finally:
                self._waiting.remove(draw)
                self._changed.notify_all()

    def _fits(self, draw: _Draw) -> bool:
        if not self._held:
            return True
        in_use = draw.cost_bytes + sum(other.cost_bytes for other in self._held)
        largest = max(draw.allowance_bytes, *(other.allowance_bytes for other in self._held))
        return in_use <= self._base_bytes + largest


PROCESS_BUDGET = DecodeBudget()
