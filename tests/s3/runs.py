"""`shardmill` in processes of its own that talk to the server of the tests.

A lease lasts three seconds there, not sixty, so that a dead run's need not be waited for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

_MAIN = """
import sys
from records.storage import lease
lease.LEASE_SECONDS, lease.RENEW_SECONDS = 3.0, 0.5
import shardmill.cli
sys.argv[0] = "shardmill"
shardmill.cli.main()
"""
_LONGEST_SECONDS = 200.0
BUSY = 75


class Ended(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    output: str
    errors: str


def start(environment: Mapping[str, str], *arguments: object) -> subprocess.Popen[str]:
    """Start a command."""
    return subprocess.Popen(
        [sys.executable, "-c", _MAIN, *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a command."""
    output, errors = process.communicate(timeout=_LONGEST_SECONDS)
    return Ended(process.returncode, output, errors)


def run(environment: Mapping[str, str], *arguments: object) -> Ended:
    """Run a command to its end."""
    return end(start(environment, *arguments))


def run_when_free(environment: Mapping[str, str], *arguments: object) -> Ended:
    """Run a command as soon as a dead run's lease is over."""
    until = time.monotonic() + _LONGEST_SECONDS
    while (ended := run(environment, *arguments)).status == BUSY:
        assert "another run is writing here" in ended.errors
        assert time.monotonic() < until
    return ended


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something holds, which must be before the process ends."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
