"""Functions for child processes; this module imports nothing heavy."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from threading import Lock

from records.errors import CorruptDataError
from records.runtime.shard_worker import ProgressCallback


def square(item: int, count: ProgressCallback) -> tuple[int, int]:
    """Return the process and the square; the first items take longest."""
    time.sleep(0.1 / (item + 1))
    count(item)
    return os.getpid(), item * item


def fail_at_3(item: int, count: ProgressCallback) -> int:
    if item == 3:
        raise CorruptDataError("this one is bad", shard="three", record=4)
    count(1)
    return item


def fail_strangely(item: int, count: ProgressCallback) -> object:
    if item == 1:
        raise _StrangeError(Lock(), item)
    return Lock()


class _StrangeError(Exception):
    """An exception that cannot be pickled."""


def die(folder: str, deaths: int, item: int, count: ProgressCallback) -> int:
    """Kill this process the first times that it gets an odd item; there is a file per death."""
    count(5)
    time.sleep(0.15)
    count(5)
    if item % 2:
        for death in range(deaths):
            try:
                (Path(folder) / f"{item}-{death}").touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
    return item


def count_forever(folder: str, item: int, count: ProgressCallback) -> None:
    """Run until the process is stopped; then leave a file."""
    (Path(folder) / f"{item}-begun-{os.getpid()}").touch()
    try:
        while True:
            count(1)
            time.sleep(0.01)
    finally:
        (Path(folder) / f"{item}-stopped").touch()


def hang(folder: str, item: int, count: ProgressCallback) -> None:
    """Never count."""
    (Path(folder) / f"{item}-begun-{os.getpid()}").touch()
    time.sleep(600)


def signals(item: int, count: ProgressCallback) -> list[str]:
    """Return what this process ignores and blocks, and its standard input."""
    ignored = [
        number.name
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is signal.SIG_IGN
    ]
    blocked = [str(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
    return [*ignored, *blocked, str(Path("/proc/self/fd/0").readlink())]
