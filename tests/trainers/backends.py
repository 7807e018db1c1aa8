"""Another Python process whose Keras has a backend of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_python(*arguments: object, backend: str = "jax", **variables: str) -> str:
    """Run Python with these arguments on a backend and on processors; what it printed.

    The test is skipped where the backend is not installed, and fails where Python does.
    """
    pytest.importorskip(backend)
    ended = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
