"""Large blocks of memory that leave the process as soon as they are freed.

glibc keeps freed blocks of up to 32 MB for later, for each thread apart: 32 threads at 12-megapixel
photos held 500 MB more than they used. While an image is decoded, it is told to map each large
block on its own, so that freeing one returns it. Other allocators need no telling.
"""

from __future__ import annotations

import ctypes
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE_BYTES = 1 << 20

# Option numbers of mallopt(3), and the values that glibc itself settles at when left alone: they
# are set again since other code, TensorFlow above all, is slower with every block newly mapped.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SETTLED_TRIM_BYTES, _SETTLED_MMAP_BYTES = 64 << 20, 32 << 20

_mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
_lock = threading.Lock()
_users = 0


@contextmanager
def large_blocks_returned() -> Iterator[None]:
    """While the block runs, in any thread, what is allocated large is returned when freed."""
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _users
    with _lock:
        before, _users = _users, _users + change
        if _mallopt is None or bool(before) == bool(_users):
            return
        if _users:
            _mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
        else:
            _mallopt(_MMAP_THRESHOLD, _SETTLED_MMAP_BYTES)
            _mallopt(_TRIM_THRESHOLD, _SETTLED_TRIM_BYTES)
