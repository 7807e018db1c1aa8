"""Process of Prism, the Beam runner written in Go.

Beam can start Prism too, but only in the main thread. There Beam replaces the handler of Ctrl-C,
and downloads Prism if no file is given.
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

START_SECONDS = 60
_STOP_SECONDS = 10
# How long Prism outlives a driver that was killed.
_IDLE = "--idle_shutdown_timeout=60s"


def find_prism(flags: Namespace) -> str | None:
    """Return the Prism program that the user names, or `prism` on the PATH; None if not found."""
    return shutil.which(flags.prism_location or "prism")


@contextmanager
def serve_prism(program: str) -> Iterator[str]:
    """Run Prism, and yield the endpoint of its job server. Raises RunnerError."""
    endpoint = f"localhost:{_free_port()}"
    command = [program, f"--job_port={endpoint.rpartition(':')[2]}", "--serve_http=false", _IDLE]
    # In a new session: Ctrl-C goes only to the driver, which stops the run first.
    process = subprocess.Popen(  # noqa: S603 - the user names the program
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
        ExternalJobServer(endpoint, timeout=START_SECONDS).start()
    except Exception as error:
        raise RunnerError(
            "Prism did not start", path=program, hint=f"run `{program}` in a shell to see its error"
        ) from error


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
