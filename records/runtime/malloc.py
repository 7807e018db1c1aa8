"""Setting of malloc that returns large freed blocks to the operating system.

glibc keeps freed blocks of up to 32 MB for reuse, separately for each thread: 32 threads that
resize 12-megapixel photos peak at 820 MB instead of 160 MB. Other allocators do not need this
setting.
"""

from __future__ import annotations

import ctypes
from functools import cache

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_THRESHOLD_BYTES = 1 << 20


@cache
def return_large_blocks() -> None:
    """Make malloc map blocks of 1 MiB or more separately from now on, in the whole process."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
