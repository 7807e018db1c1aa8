"""Workers of the local runner that outlive their driver."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# As Beam starts a worker: through a shell, with the addresses of the driver.
_DRIVER = """
import os, subprocess, sys
address, = sys.argv[1:]
names = ("CONTROL_API_SERVICE_DESCRIPTOR", "LOGGING_API_SERVICE_DESCRIPTOR")
command = f"exec {sys.executable} -m pipelines.runners.beam_worker {os.getpid()}"
given = {**dict.fromkeys(names, f"url: '{address}'"), "PIPELINE_OPTIONS": "{}", "WORKER_ID": "1"}
worker = subprocess.Popen(command, shell=True, env={**os.environ, **given})
print(worker.pid, flush=True)
worker.wait()
"""


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.timeout(400)
def test_worker_driver_is_killed_and_connection_stays_open_ends(tmp_path: Path) -> None:
    """The socket never answers and never closes, so that only the driver's death can end it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        driver = subprocess.Popen(
            [sys.executable, "-c", _DRIVER, address], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert driver.stdout is not None
        worker = int(driver.stdout.readline())
        try:
            silent.settimeout(250)
            connection, _ = silent.accept()  # the worker has started
            assert is_alive(worker)
            driver.kill()
            driver.wait()
            driver.stdout.close()
            end = time.monotonic() + 100
            while is_alive(worker) and time.monotonic() < end:
                time.sleep(0.05)
            assert not is_alive(worker)
            connection.close()
        finally:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
