"""Prism, Beam's own runner in Go: its process, for as long as a run takes.

Beam would start it too, but only in a program's main thread, where it takes Ctrl-C for itself; and
where it is given no file it downloads one.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.runners.portability.job_server import ExternalJobServer

from records.errors import RunnerError

_START_SECONDS = 60
_STOP_SECONDS = 10
# It outlives a driver that was killed by this at most.
_IDLE = "--idle_shutdown_timeout=60s"


def find_prism(flags: Namespace) -> str | None:
    """The program that the user names, or the one on the PATH; None where there is none."""
    return shutil.which(flags.prism_location or "prism")


@contextmanager
def serve_prism(program: str) -> Iterator[str]:
    """Run Prism while the block runs; the endpoint of its job server. Raises RunnerError."""
    endpoint = f"localhost:{_free_port()}"
    command = [program, f"--job_port={endpoint.rpartition(':')[2]}", "--serve_http=false", _IDLE]
    # A session of its own: Ctrl-C is for the driver, which stops the run first.
    process = subprocess.Popen(  # noqa: S603 - the user says which
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(endpoint, program)
        yield endpoint
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(endpoint: str, program: str) -> None:
    try:
        ExternalJobServer(endpoint, timeout=_START_SECONDS).start()
    except Exception as error:
        raise RunnerError(
            "Prism did not start", path=program, hint="what does it say when it is run by hand?"
        ) from error


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
