"""A signal while a command starts the threads that watch signals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SENDING_AT_EACH_STEP = """
import os, signal, sys, threading
from records.runtime import termination
import shardmill.cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
number = signal.Signals[sys.argv[1]]
sys.argv = ["shardmill", "log", "nowhere"]

def send_at(step):
    steps = 0
    def trace(frame, event, argument):
        nonlocal steps
        steps += frame.f_code.co_filename in {threading.__file__, termination.__file__}
        if steps == step:
            sys.settrace(None)
            signal.raise_signal(number)
        return trace
    sys.settrace(trace)

statuses = set()
for step in range(1, 120, 2):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = 1
        try:
            send_at(step)
            shardmill.cli.main()
        except SystemExit as ended:
            status = ended.code
        finally:
            os._exit(status)
    statuses.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(*statuses)
"""


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_signal_at_any_step_of_the_start_of_threads_ends_with_its_status(
    name: str, status: int
) -> None:
    command = [sys.executable, "-c", SENDING_AT_EACH_STEP, name]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [str(status)]
