"""Normalization in a subprocess, for shards whose earlier attempt crashed.

A decoder that crashes ends its process. If an earlier attempt of a shard crashed, the images of the
shard are therefore normalized in a subprocess. An image that crashes the subprocess twice is
rejected as corrupt, and the shard continues.
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

Normalize = Callable[[bytes, ImageOptions], NormalizedImage | Rejection]
"""The type of `records.images.normalize_image`."""

_MAX_ATTEMPTS = 2


class SubprocessNormalizer:
    """A context manager that calls `normalize` in a subprocess, for use from one thread."""

    def __init__(self, normalize: Normalize = normalize_image) -> None:
        self._normalize = normalize
        self.pool = self._new_pool()

    def __call__(self, data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
        """Return the result of `normalize`; a rejection if the subprocess crashes twice."""
        for _ in range(_MAX_ATTEMPTS):
            try:
                return self.pool.submit(self._normalize, data, options).result()
            except BrokenProcessPool:
                self.pool.shutdown()
                self.pool = self._new_pool()
        return Rejection("corrupt", "the decoder crashed on it, twice")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.pool.shutdown()

    @staticmethod
    def _new_pool() -> ProcessPoolExecutor:
        # Not forked: the fork of a process with threads may copy a lock that no thread releases.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=_exit_with_parent)


def _exit_with_parent() -> None:
    """Make this process exit when its parent is killed.

    Otherwise it would wait for work forever: it has both ends of the pipe of its work queue open.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="exit with parent", daemon=True).start()
