"""Images stored in a process of their own, for shards that an earlier attempt died in.

A decoder that crashes takes its process with it. A shard whose attempt did not end well is done
with this: a key that kills the helper process twice is corrupt, and the shard goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self

from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection, normalize_image

StoreFunction = Callable[[bytes, ImageOptions], NormalizedImage | Rejection]
_DEATHS_ALLOWED = 1


class SubprocessNormalizer:
    """Calls `store` in a helper process; use it as a context manager, from one thread."""

    def __init__(self, store: StoreFunction = normalize_image) -> None:
        self._store = store
        self._pool = self._new_pool()

    def __call__(self, data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
        """As `records.images.normalize_image`, but a crash is a rejection."""
        for _ in range(_DEATHS_ALLOWED + 1):
            try:
                return self._pool.submit(self._store, data, options).result()
            except BrokenProcessPool:
                self._pool.shutdown()
                self._pool = self._new_pool()
        return Rejection("corrupt", "the decoder crashed on it, twice")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    @staticmethod
    def _new_pool() -> ProcessPoolExecutor:
        # Not forked: a fork of a process with threads may copy a lock that nobody will release.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Have this process end when the one that started it is killed.

    It would wait for work for ever: it holds both ends of the pipe that work comes by.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end with parent", daemon=True).start()
