"""A request to stop that reaches workers in other processes and on other machines.

No runner tells its workers that whoever started them was interrupted. So the interrupted run leaves
its name in the target's work folder, and workers look there every few seconds.
"""

from __future__ import annotations

import time

from pipelines.progress import CancelledError
from records.layout import WORK_FOLDER
from records.storage import Storage

_NAME = f"{WORK_FOLDER}/stop"
_LOOK_SECONDS = 2.0


def request_stop(target: Storage, run_id: str) -> None:
    """Ask the workers of a run to stop, wherever they are."""
    target.replace(_NAME, run_id.encode())


class StopWatch:
    """Looks whether a run is to stop, not more often than every two seconds."""

    def __init__(self, target: Storage, run_id: str) -> None:
        self._target = target
        self._run_id = run_id.encode()
        self._looked_at = -_LOOK_SECONDS

    def check(self) -> None:
        """Raise CancelledError where the run is to stop."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            wanted = self._target.read(_NAME)
        except FileNotFoundError:
            return
        if wanted == self._run_id:
            raise CancelledError
