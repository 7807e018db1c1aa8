"""Wall time and peak memory of a whole process and its children.

On Linux, the memory of a single process is the peak that the kernel records (VmHWM). The memory of
several processes is the sum of their proportional set sizes (PSS), which counts shared pages once.
The kernel visits every page for it, so samples take at most a fiftieth of the time. Without /proc,
the memory is the peak of the largest process that the kernel reports.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SAMPLE_SECONDS = 0.05
_PAUSE_PER_SAMPLE = 49
_SHOWN_BYTES = 2_000
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
_PROC = Path("/proc")


class ProcessError(RuntimeError):
    """A measured process failed; the message contains the end of its output."""


class Measure(NamedTuple):
    """Wall time, CPU time and peak memory of a process and its children, and its output."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str

    def reported(self) -> dict[str, float]:
        """Return the figures that the process printed as JSON in its last line, if any."""
        last = self.output.strip().rpartition("\n")[2]
        figures: dict[str, float] = json.loads(last) if last.startswith("{") else {}
        return figures


def measure(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Measure:
    """Run a command until it ends, and measure it.

    Raises:
        ProcessError: the exit code is not 0.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environ
        )
        with _PeakWatch(process.pid) as watch:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output_end = _tail(errors.fileno()) or _tail(output.fileno())
            raise ProcessError(f"{' '.join(command)} ended with {process.returncode}: {output_end}")
        output.seek(0)
        cpu_seconds = usage.ru_utime + usage.ru_stime
        peak_bytes = max(watch.peak_bytes, _known_peak_bytes(usage))
        return Measure(seconds, cpu_seconds, peak_bytes, output.read().decode(errors="replace"))


def _known_peak_bytes(usage: resource.struct_rusage) -> int:
    """Return the peak that the kernel reports; 0 if it may be that of this process before exec."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage.ru_maxrss * _MAXRSS_BYTES if usage.ru_maxrss > own else 0


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    content = os.pread(descriptor, _SHOWN_BYTES, max(0, size - _SHOWN_BYTES))
    return content.decode(errors="replace").strip()


class _PeakWatch:
    """Thread that samples the memory of a process tree, and keeps the largest value."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> _PeakWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        pause_seconds = _SAMPLE_SECONDS
        while not self._ended.wait(pause_seconds):
            started = time.thread_time()
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))
            taken_seconds = time.thread_time() - started
            pause_seconds = max(_SAMPLE_SECONDS, _PAUSE_PER_SAMPLE * taken_seconds)


def tree_bytes(pid: int) -> int:
    """Return the memory of a process and its descendants; without descendants, the peak so far."""
    pids = _list_tree(pid)
    if len(pids) == 1:
        return _read_field(_PROC / str(pid) / "status", "VmHWM:")
    return sum(_read_field(_PROC / str(each) / "smaps_rollup", "Pss:") for each in pids)


def _list_tree(pid: int) -> list[int]:
    try:
        tasks = list((_PROC / str(pid) / "task").iterdir())
        children = [
            int(child) for task in tasks for child in (task / "children").read_text().split()
        ]
    except OSError:  # the process has ended in the meantime
        return [pid]
    return [pid, *(each for child in children for each in _list_tree(child))]


def _read_field(path: Path, field: str) -> int:
    """Return a field of a file in /proc, in bytes; 0 if the process has ended."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(field)), 0)
