"""Normalization in a subprocess, which may crash or take too long.

A decoder that crashes ends its process. If an earlier attempt of a shard crashed, the images of the
shard are therefore normalized in a subprocess, and so are the images that remain in a shard when
one of them takes too long. An image that crashes the subprocess twice, or takes it longer than its
time limit, is rejected, and the shard continues.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection, normalize_image

Normalize = Callable[[bytes, ImageOptions], NormalizedImage | Rejection]
"""The type of `records.images.normalize_image`."""

_MAX_ATTEMPTS = 2
# Processor time decides, so that a busy machine rejects no other images. A decoder that waits
# forever takes none.
_WAITING_RATIO = 10
_TIMED_OUT = {-signal.SIGPROF, -signal.SIGALRM}


class SubprocessNormalizer:
    """A context manager that calls `normalize` in a subprocess, for use from one thread.

    Args:
        timeout_s: the maximum processor time for an image, in seconds.
        normalize: the function to call; a module-level function.
    """

    def __init__(self, timeout_s: int, normalize: Normalize = normalize_image) -> None:
        self._timeout_s = timeout_s
        self._normalize = normalize
        self._child: tuple[multiprocessing.process.BaseProcess, Connection] | None = None

    def __call__(self, data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
        """Return the result of `normalize`; a rejection if the subprocess crashes twice."""
        for _ in range(_MAX_ATTEMPTS):
            process, connection = self._child = self._child or self._start()
            try:
                connection.send((data, options))
                result: NormalizedImage | Rejection = connection.recv()
            except (EOFError, OSError):
                self._stop()
                if process.exitcode in _TIMED_OUT:
                    return Rejection(
                        "too-slow", f"decoding takes over --image-timeout {self._timeout_s} s"
                    )
            else:
                return result
        return Rejection("corrupt", "the decoder crashed on it, twice")

    @property
    def process_id(self) -> int | None:
        """The ID of the subprocess; None before it starts."""
        return self._child[0].pid if self._child else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _start(self) -> tuple[multiprocessing.process.BaseProcess, Connection]:
        # Not forked: the fork of a process with threads may copy a lock that no thread releases.
        context = multiprocessing.get_context("spawn")
        connection, other_end = context.Pipe()
        process = context.Process(
            target=_serve, args=(other_end, self._normalize, self._timeout_s), daemon=True
        )
        process.start()
        other_end.close()
        return process, connection

    def _stop(self) -> None:
        """End the subprocess: at the end of its pipe if it waits for work."""
        if self._child is None:
            return
        process, connection = self._child
        self._child = None
        connection.close()
        process.join()


def _serve(connection: Connection, normalize: Normalize, timeout_s: int) -> None:
    """Normalize the images that arrive, until the pipe is closed.

    The system ends the process when a timer runs out, whatever the decoder does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent closes the pipe
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _exit_with_parent()
    while True:
        try:
            data, options = connection.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, timeout_s)
        signal.setitimer(signal.ITIMER_REAL, _WAITING_RATIO * timeout_s)
        result = normalize(data, options)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send(result)


def _exit_with_parent() -> None:
    """Make this process exit when its parent is killed, also while it decodes."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="exit with parent", daemon=True).start()
