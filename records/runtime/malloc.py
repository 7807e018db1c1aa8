"""Settings of malloc: return or reuse large blocks.

glibc keeps freed blocks of up to 32 MB for reuse, separately for each thread: 32 threads that
resize 12-megapixel photos peak at 820 MB instead of 160 MB. Therefore, code that reads files of any
size returns large blocks.

The input of training allocates blocks of the same sizes again and again. By default, glibc returns
many of them, so that each photo takes 60 page faults. If blocks are reused by all threads, a photo
takes 3 page faults, and less memory is needed in total.

Other allocators do not need these settings.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

_M_TRIM_THRESHOLD = -1  # mallopt(3)
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_IMAGE_BYTES = 1 << 20
# The batches of a table are smaller than images: with 1 MiB, planning takes 40 % more memory.
_TABLE_BYTES = 1 << 15
_LARGEST_REUSED_BYTES = 1 << 25  # glibc accepts no larger value
_KEPT_BYTES = 1 << 28
_DEFAULT_BYTES = 1 << 17  # glibc's own value
_DEFAULT_MAPPED_BLOCKS = 1 << 16  # glibc's own value

_values: dict[int, int] = {}
Item = TypeVar("Item")


def return_large_blocks() -> None:
    """Make malloc map blocks of 1 MiB or more separately from now on, in the whole process."""
    _return_blocks_from(_IMAGE_BYTES)


@contextmanager
def table_blocks_returned() -> Iterator[None]:
    """Map blocks of 32 KiB or more separately while the block runs; afterwards those of 1 MiB."""
    _return_blocks_from(_TABLE_BYTES)
    try:
        yield
    finally:
        _return_blocks_from(_IMAGE_BYTES)


def reuse_large_blocks(arenas: int) -> None:
    """Make malloc keep freed blocks of up to 32 MiB from now on, in the whole process.

    Args:
        arenas: the number of separate heaps, among which malloc divides the threads.
    """
    _set(_M_ARENA_MAX, arenas)
    _set(_M_MMAP_THRESHOLD, _LARGEST_REUSED_BYTES)
    _set(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def reuse_blocks(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items; the memory that an item needs is that of an earlier one.

    Blocks that the consumer allocates are returned as before, so that those of a large table do
    not divide the memory for the items.
    """
    kept_bytes = _values.get(_M_TRIM_THRESHOLD, 2 * _values.get(_M_MMAP_THRESHOLD, _DEFAULT_BYTES))
    mapped_blocks = _values.get(_M_MMAP_MAX, _DEFAULT_MAPPED_BLOCKS)
    _set(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    try:
        while True:
            _set(_M_MMAP_MAX, 0)
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                _set(_M_MMAP_MAX, mapped_blocks)
            yield item
            del item  # before the next one is made
    finally:
        _set(_M_TRIM_THRESHOLD, kept_bytes)
        _trim()


def _return_blocks_from(size_bytes: int) -> None:
    _set(_M_MMAP_THRESHOLD, size_bytes)
    if _M_TRIM_THRESHOLD in _values:  # of `reuse_large_blocks`
        _set(_M_TRIM_THRESHOLD, 2 * size_bytes)  # glibc's own ratio


def _set(parameter: int, value: int) -> None:
    if _values.get(parameter) == value:
        return
    _values[parameter] = value
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(parameter, value)


def _trim() -> None:
    malloc_trim = _function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


@cache
def _function(name: str) -> Any:
    """Return a function of the C library; None if only other C libraries have it."""
    return getattr(ctypes.CDLL(None), name, None)
