"""Large blocks of memory that leave the process as soon as they are freed.

glibc keeps freed blocks of up to 32 MB for later, for each thread apart: 32 threads at 12-megapixel
photos held 500 MB more than they used, and a plan of 300,000 images half as much again as it needs.
So it is told for a while to map each large block on its own, so that freeing one returns it. Other
allocators need no telling.
"""

from __future__ import annotations

import ctypes
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Option numbers of mallopt(3), and the values that glibc itself settles at when left alone: they
# are set again since other code, TensorFlow above all, is slower with every block newly mapped.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SETTLED_TRIM_BYTES, _SETTLED_MMAP_BYTES = 64 << 20, 32 << 20

_mallopt = getattr(ctypes.CDLL(None), "mallopt", None)


class _MallocTuner:
    """What is asked of glibc; it is told only what changes, and not with every image."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_bytes: list[int] = []

    def ask(self, large_bytes: int) -> None:
        with self._lock, self._telling():
            self._asked_bytes.append(large_bytes)

    def withdraw(self, large_bytes: int) -> None:
        with self._lock, self._telling():
            self._asked_bytes.remove(large_bytes)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        before = min(self._asked_bytes, default=None)
        yield
        after = min(self._asked_bytes, default=None)
        if _mallopt is None or before == after:
            return
        if after is not None:
            _mallopt(_MMAP_THRESHOLD, after)
        else:
            _mallopt(_MMAP_THRESHOLD, _SETTLED_MMAP_BYTES)
            _mallopt(_TRIM_THRESHOLD, _SETTLED_TRIM_BYTES)


_allocator = _MallocTuner()


@contextmanager
def return_freed_memory(large_bytes: int) -> Iterator[None]:
    """While the block runs, in any thread, what is allocated large is returned when freed.

    Args:
        large_bytes: from what size on. Where several blocks run, the least that one asked for.
    """
    _allocator.ask(large_bytes)
    try:
        yield
    finally:
        _allocator.withdraw(large_bytes)
