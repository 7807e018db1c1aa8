"""The number of usable CPUs, and of threads of BLAS."""

from __future__ import annotations

import math
import os
from pathlib import Path

ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""The environment variable of a process that multiplies no large matrices.

The threads of BLAS start when numpy is imported, and each keeps a CPU busy for a tenth of a second.
"""

_CGROUP = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def available_cpus() -> int:
    """Return the number of CPUs that this process may use: its affinity, and its cgroup's quota.

    A quota of 1.5 CPUs counts as 2.
    """
    cpus = _affinity()
    quota = cgroup_quota()
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_quota(own: Path = _OWN_CGROUPS, root: Path = _CGROUP) -> float | None:
    """Return the smallest CPU quota of the cgroups of this process; None without a quota.

    Args:
        own: the file that lists the cgroups of this process, one line for each hierarchy:
            `NUMBER:CONTROLLERS:PATH`; version 2 has no controllers.
        root: the folder of all cgroups. In a container, it is often the cgroup of the container.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not Linux
        return None
    quotas: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            hierarchy, read = root, _read_quota_v2
        elif "cpu" in controllers.split(","):
            hierarchy, read = root / controllers, _read_quota_v1
        else:
            continue
        # A process is also limited by the quotas of the cgroups above its own.
        folder = hierarchy / path.lstrip("/")
        for each in (folder, *folder.parents):
            quota = read(each)
            if quota is not None:
                quotas.append(quota)
            if each == hierarchy:
                break
    return min(quotas, default=None)


def _read_quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
