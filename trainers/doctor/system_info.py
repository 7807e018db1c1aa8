"""Versions, processors, GPUs, memory and disk space for caches."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainers.backend import Backend

# The versions are read from package metadata, because importing Beam takes seconds.
_PACKAGES = {
    "shardmill": "shardmill",
    "TensorFlow": "tensorflow",
    "Keras": "keras",
    "JAX": "jax",
    "Beam": "apache-beam",
    "Pillow": "pillow",
}
_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
_QUERY_LIMIT_S = 20
_MIB = 1 << 20


class Gpu(msgspec.Struct, frozen=True):
    """A GPU that the NVIDIA driver lists, whether or not Keras uses it.

    Attributes:
        name: the name of the GPU in the list of the driver.
        memory_bytes: the total memory of the GPU; 0 if the driver does not report it.
        driver: the version of the driver.
    """

    name: str
    memory_bytes: int
    driver: str


class SystemInfo(msgspec.Struct, frozen=True):
    """The devices in use and the resources of the machine.

    Attributes:
        backend: the Keras backend.
        used: the names of the GPUs that Keras uses; empty if Keras uses the CPU.
        gpus: all GPUs that the NVIDIA driver lists.
        problem: the reason why an existing GPU is not used, and the remedy; otherwise None.
        cpus: the number of CPU cores that this process may use.
        memory_bytes: the memory of the machine.
        cache_folder: the folder that contains the caches of decoded images and of features.
        cache_free_bytes: the free space on the disk of the cache folder; None if the folder cannot
            be created or written.
        cache_problem: the reason why it cannot; otherwise None.
    """

    backend: str
    used: tuple[str, ...]
    gpus: tuple[Gpu, ...]
    problem: str | None
    cpus: int
    memory_bytes: int
    cache_folder: str
    cache_free_bytes: int | None
    cache_problem: str | None = None


def list_versions() -> dict[str, str]:
    """Return the version of Python and of each relevant package that is installed."""
    found = {"Python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found


def inspect_system(hardware: Backend, cache_folder: Path) -> SystemInfo:
    """Return the devices and resources that are available to a training run.

    Args:
        hardware: the started backend.
        cache_folder: the folder that contains all caches; it may be absent.
    """
    existing = next(
        path for path in (cache_folder, *cache_folder.absolute().parents) if os.path.lexists(path)
    )
    cache_problem = _explain_unwritable(existing)
    return SystemInfo(
        backend=hardware.backend,
        used=hardware.gpus,
        gpus=_list_gpus(),
        problem=hardware.problem,
        cpus=hardware.cpus,
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cache_folder=str(cache_folder),
        cache_free_bytes=None if cache_problem else shutil.disk_usage(existing).free,
        cache_problem=cache_problem,
    )


def describe_system(versions: dict[str, str], devices: SystemInfo) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each fact, as text."""
    for name, number in versions.items():
        yield name, f"{number}, on {devices.backend}" if name == "Keras" else number
    for gpu in devices.gpus:
        yield "GPU", f"{gpu.name}, {gpu.memory_bytes / 1e9:,.1f} GB, driver {gpu.driver}"
    if not devices.gpus:
        yield "GPU", ", ".join(devices.used) or "none"
    if devices.problem is not None:
        yield "problem", devices.problem
    yield "CPU", f"{devices.cpus} core{'s' * (devices.cpus > 1)}"
    yield "memory", f"{devices.memory_bytes / 1e9:,.1f} GB"
    if devices.cache_free_bytes is None:
        yield "caches", f"{devices.cache_folder} cannot be written: {devices.cache_problem}"
    else:
        yield "caches", f"{devices.cache_free_bytes / 1e9:,.1f} GB free in {devices.cache_folder}"


def parse_gpus(table: str) -> tuple[Gpu, ...]:
    """Return the GPUs in the output of nvidia-smi: one line with name, MiB and driver per GPU."""
    rows = (line.rsplit(",", 2) for line in table.splitlines())
    cells = ([cell.strip() for cell in row] for row in rows if len(row) == 3)
    return tuple(
        # nvidia-smi reports no size for a GPU that shares its memory with the CPU.
        Gpu(name, int(mib) * _MIB if mib.isdecimal() else 0, driver)
        for name, mib, driver in cells
    )


def _list_gpus() -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        ended = subprocess.run(  # noqa: S603 # no user input in it
            [program, *_QUERY], capture_output=True, text=True, timeout=_QUERY_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(ended.stdout)


def _explain_unwritable(existing: Path) -> str | None:
    """Return why no folder can be created in a path; None if one can."""
    if not existing.is_dir():
        return f"{existing} is not a folder"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"{existing} is read-only, or permission is denied"
    return None
