"""Real conversions, `shardmill convert` in separate processes, and their remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from records import verify
from records.format import layout
from records.format.layout import index_name

_OUTPUT = "SHARDMILL_TEST_OUTPUT"
IN_PROCESSES = ("--processes=2",)
IN_CHILDREN = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")


class Ended(NamedTuple):
    """Exit status and output of a command."""

    status: int
    errors: str


def start(
    source: Path, output: Path, *flags: str, program: tuple[str, str] = ("-m", "shardmill")
) -> subprocess.Popen[str]:
    """Start a conversion, by the arguments of Python that run shardmill."""
    command: list[str | Path] = [
        sys.executable,
        *program,
        "convert",
        source,
        output,
        "--quiet",
        *flags,
    ]
    environment = {**os.environ, _OUTPUT: str(output)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def convert(source: Path, output: Path, *flags: str) -> Ended:
    """Convert, and wait for the end; return its result."""
    process = start(source, output, *flags)
    _, errors = process.communicate(timeout=250)
    return Ended(process.returncode, errors)


def kill(process: subprocess.Popen[str]) -> None:
    """Send SIGKILL to this process alone: its child processes continue."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stderr is not None
    process.stderr.close()


def require_whole_or_absent(output: Path) -> bool:
    """Return whether a manifest exists; if it does, require that nothing is missing."""
    there = (output / layout.MANIFEST).exists()
    if there:
        assert list(verify(output)) == []
    return there


def finished_shards(output: Path) -> dict[str, tuple[int, int]]:
    """Return the finished shards and indexes with the values that a rewrite changes."""
    done = [path for path in output.glob("*.tfrecord") if (output / index_name(path.name)).exists()]
    files = [*done, *(output / index_name(path.name) for path in done)]
    return {
        path.relative_to(output).as_posix(): (status.st_ino, status.st_mtime_ns)
        for path in files
        for status in [path.stat()]
    }


def processes_on(output: Path) -> list[int]:
    """Return the live processes of conversions into an output, found by inherited variables."""
    wanted = f"{_OUTPUT}={output}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the child processes of a conversion."""
    found: list[int] = []
    for task in Path(f"/proc/{process.pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def wait_for_none(output: Path, *, seconds: float = 60) -> list[int]:
    """Wait until an output has no process; return those that remain after the timeout."""
    end = time.monotonic() + seconds
    while (left := processes_on(output)) and time.monotonic() < end:
        time.sleep(0.1)
    return left
