"""The number of processes for a job, and of threads in each."""

from __future__ import annotations

from typing import NamedTuple

from records.runtime.cpu import available_cpus
from records.text.formatting import pluralize

_SECONDS_PER_PROCESS = 1.5
"""The least work for which a process is started: its start takes half a second of a CPU."""


class Division(NamedTuple):
    """A number of processes, the threads in each of them, and the CPUs that they share."""

    processes: int
    threads: int
    cpus: int

    def __str__(self) -> str:
        processes, threads = pluralize(self.processes, "process"), pluralize(self.threads, "thread")
        return f"{processes} × {threads} on {pluralize(self.cpus, 'core')}"


def divide_cpus(
    shards: int, seconds: float, *, processes: int | None = None, threads: int | None = None
) -> Division:
    """Divide the usable CPUs among processes, and those of a process among its threads.

    Args:
        shards: the number of items; no process remains without one.
        seconds: the estimated time of the work on one CPU. Less than 1.5 seconds for each process
            are not worth its start.
        processes: the number of processes, if the user has chosen it.
        threads: the number of threads per process, if the user has chosen it.
    """
    cpus = available_cpus()
    if processes is None:
        most = cpus if threads is None else -(-cpus // threads)
        processes = min(most, int(seconds / _SECONDS_PER_PROCESS))
    processes = max(1, min(processes, shards))
    return Division(processes, threads or max(1, cpus // processes), cpus)
