"""Processes of a cluster, each in a separate session, with a log.

Each is stopped by its id.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.clusters.testbed.engines import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_START_SECONDS = 120.0
_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_SHOWN_BYTES = 2_000


class Process:
    """A process and its children, which run as long as the `with` block.

    Args:
        command: the command to run.
        log: the file for its output.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = command
        self.log = log

    def __enter__(self) -> Process:
        self.start()
        return self

    def start(self) -> None:
        """Start it, or start it again when it has ended; its log is emptied."""
        # Ctrl-C on a terminal goes to the foreground's processes; these are stopped in their order.
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Not the caller's folder, which Python would import from.
                cwd=self.log.parent,
                start_new_session=True,
            )

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self.kill()

    def has_ended(self) -> bool:
        """Return whether it has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it with all its children immediately, as a machine that loses power does."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # Also if it has ended: its children may not have.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def wait_for(self, said: str) -> None:
        """Wait until its log contains a text. Raise ClusterError if it ends or takes too long."""
        give_up_at = time.monotonic() + _START_SECONDS
        while said not in self.log.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise ClusterError(f"{self.log.stem} did not start: {self._tail()}")
            time.sleep(_LOOK_SECONDS)

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-_SHOWN_BYTES:]


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that no process listens at."""
    with socket.socket() as listener:
        listener.bind((address, 0))
        port: int = listener.getsockname()[1]
    return port
