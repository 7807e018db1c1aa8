"""Environments with the wheel installed, and Beam's worker pools in them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from tests.clusters.testbed.processes import Process

if TYPE_CHECKING:
    from tests.clusters.testbed.machines import Machine

POOL_PORT = 50_001
_ROOT = Path(__file__).parents[3]
_PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this repository, as `make wheel` does."""
    build = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(_ROOT))
    subprocess.run([sys.executable, *_PIP, *build], check=True)
    return next(folder.glob("shardmill-*.whl"))


def make_environment(folder: Path, *wheels: Path) -> Path:
    """Make an environment for workers; return its `bin` folder.

    Shardmill's dependencies are taken from this environment, not installed again; shardmill itself
    is installed from the wheel only: without one, this is a worker that lacks the package.
    """
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # Python reads .pth files only in the environment's own folder: this process's, with the path of
    # an editable installation in it, is not read.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for wheel in wheels:
        install = ("install", "--no-deps", "--no-index", "--target", str(packages), str(wheel))
        subprocess.run([sys.executable, *_PIP, *install], check=True)
    return folder / "bin"


def pool(
    machine: Machine,
    environment: Path,
    log: Path,
    *,
    port: int = POOL_PORT,
    path: str | None = None,
    prefix: tuple[str, ...] = (),
) -> Process:
    """Start a worker pool, which starts a worker by the command `python` when an engine asks.

    Args:
        machine: the machine to run it on.
        environment: the `bin` folder of the workers' environment.
        log: the file that pool and workers write to.
        port: the port it listens at.
        path: its PATH, on which it looks up `python`; by default the environment comes first.
        prefix: the first words of its command on its machine.
    """
    pool_of = "apache_beam.runners.worker.worker_pool_main"
    path = path or f"{environment}{os.pathsep}{os.environ['PATH']}"
    prefix = (*prefix, "env", f"PATH={path}")
    command = (*prefix, str(environment / "python"), "-m", pool_of, f"--service_port={port}")
    return Process(machine.command(*command), log)
