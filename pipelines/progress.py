"""How far a run in this process has come, and whether it is to stop.

The runner blocks and its workers are threads it made itself, so what they share with the command
line is found by the run's name. In another process the name leads to a counter nobody reads.
"""

from __future__ import annotations

import threading
from collections import defaultdict


class CancelledError(Exception):
    """The run was asked to stop."""


class Progress:
    """A counter of images, and a request to stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self.images = 0

    def add(self, images: int) -> None:
        """Count images as done.

        Raises:
            CancelledError: the run is to stop.
        """
        with self._lock:
            self.images += images
        if self._cancelled:
            raise CancelledError

    def cancel(self) -> None:
        """Ask every worker to stop at its next image."""
        self._cancelled = True


_runs: defaultdict[str, Progress] = defaultdict(Progress)


def progress_of(run_id: str) -> Progress:
    """The progress of a run by its name."""
    return _runs[run_id]


def forget(run_id: str) -> None:
    """Drop what was kept of a run."""
    _runs.pop(run_id, None)
