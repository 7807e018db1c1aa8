"""`shardmill` commands in subprocesses, with the test server.

A lease lasts three seconds instead of sixty, so that tests do not wait for that of a dead run.
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
from records.storage.remote import lease
lease.LEASE_SECONDS, lease.RENEW_SECONDS = 3.0, 0.5
import shardmill.cli
sys.argv[0] = "shardmill"
shardmill.cli.main()
"""
_LONGEST_SECONDS = 600.0
BUSY = 75


class Finished(NamedTuple):
    """The exit status and the output of a command."""

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


def finish(process: subprocess.Popen[str]) -> Finished:
    """Wait for a command to end."""
    output, errors = process.communicate(timeout=_LONGEST_SECONDS)
    return Finished(process.returncode, output, errors)


def run(environment: Mapping[str, str], *arguments: object) -> Finished:
    """Run a command to its end."""
    return finish(start(environment, *arguments))


def run_when_free(environment: Mapping[str, str], *arguments: object) -> Finished:
    """Run a command as soon as the lease of a dead run has expired."""
    until = time.monotonic() + _LONGEST_SECONDS
    while (ended := run(environment, *arguments)).status == BUSY:
        assert "another run is writing here" in ended.errors
        assert time.monotonic() < until
    return ended


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until a condition is true, which must happen before the process ends."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
