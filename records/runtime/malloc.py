"""Return of large freed blocks to the operating system.

glibc keeps freed blocks of up to 32 MB for reuse, separately for each thread: 32 threads held
500 MB more than they used for 12-megapixel photos, and a plan of 300,000 images took half as much
again as it needs. During `return_freed_memory` glibc maps each large block separately, so that
freeing one returns it. Other allocators are left alone.
"""

from __future__ import annotations

import ctypes
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Options of mallopt(3), and the values that glibc itself arrives at. They are restored because
# other code, TensorFlow above all, is slower if every block is mapped separately.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SETTLED_TRIM_BYTES, _SETTLED_MMAP_BYTES = 64 << 20, 32 << 20

_mallopt = getattr(ctypes.CDLL(None), "mallopt", None)


class _MallocTuner:
    """The requests of all threads; glibc is called only when their minimum changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested_bytes: list[int] = []

    def acquire(self, large_bytes: int) -> None:
        with self._lock, self._applied():
            self._requested_bytes.append(large_bytes)

    def release(self, large_bytes: int) -> None:
        with self._lock, self._applied():
            self._requested_bytes.remove(large_bytes)

    @contextmanager
    def _applied(self) -> Iterator[None]:
        before = min(self._requested_bytes, default=None)
        yield
        after = min(self._requested_bytes, default=None)
        if _mallopt is None or before == after:
            return
        if after is not None:
            _mallopt(_MMAP_THRESHOLD, after)
        else:
            _mallopt(_MMAP_THRESHOLD, _SETTLED_MMAP_BYTES)
            _mallopt(_TRIM_THRESHOLD, _SETTLED_TRIM_BYTES)


_tuner = _MallocTuner()


@contextmanager
def return_freed_memory(large_bytes: int) -> Iterator[None]:
    """Return large blocks of all threads to the operating system when they are freed.

    Args:
        large_bytes: the least size of a large block. If several calls overlap, the smallest counts.
    """
    _tuner.acquire(large_bytes)
    try:
        yield
    finally:
        _tuner.release(large_bytes)
