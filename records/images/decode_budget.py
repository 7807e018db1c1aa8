"""The memory that decoding may use at once, in the whole process, however many threads there are.

A decode draws what it will need before it starts and gives it back when it is done. Draws are
served in the order they came, so a large image is not passed by small ones for ever. In use at any
moment: at most `base_bytes` and 12 bytes a pixel of the largest image being decoded. An image that
needs more than the base therefore decodes alone, or beside what the base still holds.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from records.freed_memory import return_large_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES_PER_PX = 12
_BASE_BYTES = 64 << 20


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
            return_large_blocks()
            yield
        except BaseException as error:
            # The frames it went through hold the image: let go of it before its memory counts free.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
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
