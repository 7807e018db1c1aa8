"""The end of a process after a signal, whatever it waits for; in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
START = """
import os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from records.runtime.termination import grace_period, watch_signals

def terminate(number, frame):
    raise SystemExit(143)

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, terminate)
watch_signals(grace_seconds=0.3)
started = lambda: print("started", flush=True)
"""
WAITING = {
    "the error is swallowed": """
started()
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
""",
    "a thread reads a pipe": """
os.mkfifo(sys.argv[1])
with ThreadPoolExecutor(1) as pool:
    waiting = pool.submit(open, sys.argv[1])
    started()
    waiting.result()
""",
    "a thread holds a lock": """
lock = threading.Lock()
lock.acquire()
try:
    started()
    time.sleep(60)
finally:
    lock.acquire()
""",
    "a thread that is no daemon": """
threading.Thread(target=time.sleep, args=(60,)).start()
started()
time.sleep(60)
""",
    "a child process": """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
started()
try:
    time.sleep(60)
finally:
    child.wait()
""",
    "stderr is full": """
started()
try:
    time.sleep(60)
finally:
    os.write(2, bytes(1 << 20))
""",
    "the handler has returned": """
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGINT, lambda *_: None)
started()
while True:
    time.sleep(60)
""",
}


def run(script: str, number: int, folder: Path) -> tuple[int, float]:
    """Run a script, send it a signal when it has started; return its status and the seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", START + script, folder / "pipe"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        time.sleep(0.05)
        sent_at = time.monotonic()
        process.send_signal(number)
        return process.wait(timeout=30), time.monotonic() - sent_at
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("waiting", "number"),
    [
        *((waiting, signal.SIGTERM) for waiting in WAITING),
        *((waiting, signal.SIGINT) for waiting in list(WAITING)[:2]),
    ],
)
def test_watch_signals_ends_process_with_status_of_signal(
    tmp_path: Path, waiting: str, number: int
) -> None:
    status, _ = run(WAITING[waiting], number, tmp_path)
    assert status == 128 + number


def test_watch_signals_orderly_end_has_its_own_status(tmp_path: Path) -> None:
    orderly = """
started()
try:
    time.sleep(60)
except SystemExit:
    sys.exit(7)
"""
    assert run(orderly, signal.SIGTERM, tmp_path)[0] == 7


def test_grace_period_gives_a_block_more_time_and_what_follows_its_own(tmp_path: Path) -> None:
    longer = """
try:
    with grace_period(20):
        try:
            started()
            time.sleep(60)
        finally:
            time.sleep(1)
finally:
    time.sleep(0.1)
    os._exit(9)
"""
    assert run(longer, signal.SIGTERM, tmp_path)[0] == 9
