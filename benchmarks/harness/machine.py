"""Properties of the machine: processor, memory, disk and system, without names."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from records.runtime.cpu import available_cpus

_OWN_PACKAGES = ("shardmill", "apache-beam", "pillow", "protobuf", "tensorflow", "keras")


def describe_machine(disk: Path) -> dict[str, str]:
    """Return the properties of the machine, and the type of the file system at `disk`."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _find("/proc/cpuinfo", "model name", ":") or platform.machine(),
        "cores": str(available_cpus()),
        "memory": f"{memory_bytes / 1e9:.0f} GB",
        "file system": _file_system(disk),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def own_versions() -> str:
    """Return the versions of shardmill and of the packages that determine its speed."""
    return ", ".join(f"{name} {version(name)}" for name in _OWN_PACKAGES)


def _find(path: str, field: str, separator: str) -> str | None:
    if not Path(path).is_file():
        return None
    lines = Path(path).read_text().splitlines()
    return next(
        (line.partition(separator)[2].strip() for line in lines if line.startswith(field)), None
    )


def _file_system(path: Path) -> str:
    """Return the type of the file system at the longest mount point above the path."""
    mounts = Path("/proc/mounts")
    if not mounts.is_file():
        return "unknown"
    fields = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    above = [(len(point), kind) for point, kind in fields if path.resolve().is_relative_to(point)]
    return max(above)[1]
