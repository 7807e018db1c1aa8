"""Environments with other libraries, one per file of requirements.

`python -m tests.libraries` creates them in `.libraries/`. A test of a library is skipped if its
environment does not exist.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.harness.environments import PEERS, ensure_environment

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".libraries"
_REQUIREMENTS = Path(__file__).parent / "requirements"
# MosaicML Streaming is also a contestant of the benchmarks.
LIBRARIES = {path.stem: path for path in _REQUIREMENTS.glob("*.txt")} | {
    "streaming": PEERS / "mds.txt",
}


def make_environment(name: str) -> Path:
    """Return the interpreter of an environment; create it if its requirements have changed."""
    return ensure_environment(LIBRARIES[name], FOLDER / name)


def interpreter(name: str) -> Path:
    """Return the interpreter of an environment; skip the test if it does not exist."""
    python = FOLDER / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"needs {python.relative_to(ROOT)}; `make libraries-test` makes it")
    return python


def library_environ() -> dict[str, str]:
    """Return the environment variables of a program that imports shardmill from this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run_python(name: str, folder: Path, *arguments: str | Path, timeout_s: int = 280) -> str:
    """Run Python with a library in a folder, and return what it prints."""
    ended = subprocess.run(
        [interpreter(name), *arguments],
        cwd=folder,
        env=library_environ(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
