"""Virtual environments of the peers, created once from pinned requirements.

`peers/NAME.txt` pins every package of an environment, so no versions are resolved. The files with
PyTorch omit packages that it does not need on CPUs, such as Triton and cuSOLVER. They contain the
other CUDA libraries, because the Linux wheel of PyTorch does not load without them. uv links files
from its cache, so a file that several environments share uses disk space once.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import click

PEERS = Path(__file__).parents[1] / "peers"
_MADE_OF = "made-of"


def list_environments() -> list[str]:
    """Return the names of all environments."""
    return sorted(path.stem for path in PEERS.glob("*.txt"))


def requirements(name: str) -> dict[str, str]:
    """Return the versions of the packages of an environment, by package."""
    lines = (PEERS / f"{name}.txt").read_text().splitlines()
    pins = [line.partition(" ;")[0].split("==") for line in lines if "==" in line]
    return {package: version.strip() for package, version in pins}


def program(name: str) -> str:
    """Return the path of a program in `peers/`."""
    return str(PEERS / f"{name}.py")


def make_environment(name: str, cache: Path) -> Path:
    """Return the interpreter of an environment; create it if its requirements have changed.

    Args:
        name: the name of the environment.
        cache: the folder that contains all environments.

    Raises:
        ClickException: the packages cannot be installed.
    """
    return ensure_environment(PEERS / f"{name}.txt", cache / "environments" / name)


def ensure_environment(pins: Path, folder: Path) -> Path:
    """Return the interpreter of an environment; create it if its requirements have changed.

    Args:
        pins: the file with the version of every package.
        folder: the folder of the environment.

    Raises:
        ClickException: the packages cannot be installed.
    """
    python = folder / "bin" / "python"
    wanted = _digest(pins)
    marker = folder / _MADE_OF
    if marker.is_file() and marker.read_text() == wanted:
        return python
    click.echo(f"creating the environment {folder.name} in {folder}", err=True)
    shutil.rmtree(folder, ignore_errors=True)
    _uv("venv", "--python", sys.executable, str(folder))
    # Compile now: otherwise, the first measured process would compile the packages.
    install = ("pip", "install", "--no-deps", "--compile-bytecode", "--python", str(python))
    _uv(*install, "-r", str(pins))
    marker.write_text(wanted)
    return python


def _digest(pins: Path) -> str:
    return hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()


def _uv(*arguments: str) -> None:
    program = Path(sys.executable).with_name("uv")
    ended = subprocess.run(
        [program, "--quiet", *arguments], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise click.ClickException(f"uv {arguments[0]} failed: {ended.stderr.strip()}")
